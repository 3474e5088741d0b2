"""Deploy tokens as lists: DeployTokenReads, and whom their changes count for."""

import itertools
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.models import CounterScope, Namespace, Project, TokenId
from shared.pages import PageRequest
from shared.ports.metadata_store import Writing
from shared.principals import AccessToken
from tests.contracts.metadata.sample_rows import add_group, add_project, add_user
from tests.contracts.metadata.test_metadata_counters import touched_by

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
_WHOLE = PageRequest(1, 100)
_numbers = itertools.count(1)


async def add(
    rows: Writing, source: Namespace | Project, name: str = "ci", *, expires_at: datetime | None = None
) -> AccessToken:
    creator = await rows.tenants.user_by_username("ada") or await add_user(rows, "ada")
    return await rows.tokens.add_deploy(
        source,
        digest=f"digest-{next(_numbers)}",
        name=name,
        username=None,
        scopes=("read_package_registry", "write_package_registry"),
        expires_at=expires_at,
        creator_id=creator.id,
    )


async def add_team(rows: Writing) -> tuple[Namespace, Project]:
    """Add a group and a project in it: two sources whose ids may be the same number."""
    group = await add_group(rows, "team")
    return group, await add_project(rows, group)


async def test_a_source_has_its_own_tokens_oldest_first_page_by_page(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        group, project = await add_team(rows)
        sub = await add_group(rows, "sub", parent=group)
        for source, name in ((project, "b"), (group, "of-group"), (project, "a"), (sub, "of-sub"), (project, "c")):
            await add(rows, source, name)
    async with store.reading() as rows:
        first = await rows.deploy_tokens.of_source(project, PageRequest(1, 2), active_at=None)
        second = await rows.deploy_tokens.of_source(project, PageRequest(2, 2), active_at=None)
        of_group = await rows.deploy_tokens.of_source(group, _WHOLE, active_at=None)
        everywhere = await rows.deploy_tokens.everywhere(_WHOLE, active_at=None)
    assert [token.name for token in (*first.entries, *second.entries)] == ["b", "a", "c"]
    assert (first.total, first.has_more, second.has_more) == (3, True, False)
    assert [token.name for token in of_group.entries] == ["of-group"]
    assert [token.name for token in everywhere.entries] == ["b", "of-group", "a", "of-sub", "c"]


async def test_active_tokens_are_those_whose_end_has_not_come(store: SqlMetadataStore) -> None:
    second = timedelta(seconds=1)
    ends = {"endless": None, "past": NOW - second, "now": NOW, "later": NOW + second}
    async with store.writing() as rows:
        group, _ = await add_team(rows)
        for name, expires_at in ends.items():
            await add(rows, group, name, expires_at=expires_at)
    async with store.reading() as rows:
        for at, names in ((NOW, ["endless", "later"]), (None, list(ends))):
            own = await rows.deploy_tokens.of_source(group, _WHOLE, active_at=at)
            assert [token.name for token in own.entries] == names
            assert await rows.deploy_tokens.everywhere(_WHOLE, active_at=at) == own


async def test_one_token_is_found_with_its_source_only(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        group, project = await add_team(rows)
        other = await add_project(rows, group, "other")
        of_group, of_project = await add(rows, group), await add(rows, project, expires_at=NOW)
        personal = await rows.tokens.add_personal(
            (await add_user(rows, "bob")).id, digest="p", name="laptop", scopes=("api",), expires_at=None
        )
    async with store.reading() as rows:
        assert await rows.deploy_tokens.one(group, of_group.id) == of_group
        assert await rows.deploy_tokens.one(project, of_project.id) == of_project
        for source, token_id in (
            (group, of_project.id),
            (project, of_group.id),
            (other, of_project.id),
            (group, personal.id),
            (group, TokenId(0)),
            (group, TokenId(2**63)),
        ):
            assert await rows.deploy_tokens.one(source, token_id) is None


async def test_a_revoked_token_is_in_no_list(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        group, _ = await add_team(rows)
        kept, revoked = await add(rows, group), await add(rows, group)
        assert await rows.tokens.revoke(revoked.id, at=NOW)
        assert await rows.deploy_tokens.one(group, revoked.id) is None
        assert not await rows.tokens.revoke(revoked.id, at=NOW)
    async with store.reading() as rows:
        assert (await rows.deploy_tokens.of_source(group, _WHOLE, active_at=None)).entries == (kept,)
        assert (await rows.deploy_tokens.everywhere(_WHOLE, active_at=None)).entries == (kept,)
        found = await rows.tokens.by_digest(revoked.digest)
    assert found is not None
    assert found.revoked_at == NOW


@pytest.mark.parametrize("doomed", ["project", "group", "parent"])
async def test_tokens_of_what_is_deleted_are_nowhere(store: SqlMetadataStore, doomed: str) -> None:
    async with store.writing() as rows:
        parent = await add_group(rows, "parent")
        group = await add_group(rows, "group", parent=parent)
        project = await add_project(rows, group)
        for source, name in ((parent, "of-parent"), (group, "of-group"), (project, "of-project")):
            await add(rows, source, name)
    async with store.writing() as rows:
        if doomed == "project":
            assert await rows.tenant_changes.doom_project(project)
        else:
            assert await rows.tenant_changes.doom_group(group if doomed == "group" else parent)
    left = {"project": ["of-parent", "of-group"], "group": ["of-parent"], "parent": []}[doomed]
    async with store.reading() as rows:
        everywhere = await rows.deploy_tokens.everywhere(_WHOLE, active_at=None)
    assert [token.name for token in everywhere.entries] == left


async def test_deploy_tokens_count_for_the_top_level_namespace_of_their_source(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        await add_user(rows, "ada")
        top = await add_group(rows, "top")
        sub = await add_group(rows, "sub", parent=top)
        project = await add_project(rows, sub)
    own = {(CounterScope.NAMESPACE, top.id)}
    sources: tuple[Namespace | Project, ...] = (top, sub, project)
    for source in sources:
        made: list[AccessToken] = []
        assert await touched_by(store, partial(_add_into, made, source)) == own
        assert await touched_by(store, partial(_revoke, made[0])) == own
        assert await touched_by(store, partial(_revoke, made[0])) == set()


async def _add_into(made: list[AccessToken], source: Namespace | Project, rows: SqlWriting) -> None:
    made.append(await add(rows, source))


async def _revoke(token: AccessToken, rows: SqlWriting) -> None:
    await rows.tokens.revoke(token.id, at=NOW)
