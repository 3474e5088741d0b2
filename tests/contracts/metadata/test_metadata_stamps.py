"""What is remembered watches just those counters that a change bumps, and knows when time alone ends it."""

from datetime import UTC, datetime, timedelta
from functools import partial

from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.models import AccessLevel, CounterScope, NamespaceId, TokenId, Visibility
from shared.ports.change_checks import INSTANCE
from shared.ports.job_token_rows import NewPipeline
from shared.ports.pull_sources import GroupPull, OfMember
from tests.contracts.metadata.sample_rows import LATER, add_group, add_project, add_user, new_package, new_project
from tests.contracts.metadata.test_metadata_counters import touched_by

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def revoke(rows: SqlWriting, *, token_id: TokenId) -> None:
    assert await rows.tokens.revoke(token_id, at=NOW)


async def test_the_scopes_of_a_token_are_those_that_its_changes_count_for(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        project = await add_project(rows, team)
        pipeline = await rows.job_tokens.save_pipeline(project, NewPipeline(number=7), user_id=ada.id)
        personal = await rows.tokens.add_personal(ada.id, digest="p", name="p", scopes=("api",), expires_at=None)
        job = await rows.tokens.add_job(pipeline, digest="j", user_id=ada.id, expires_at=LATER, creator_id=ada.id)
        of_project, of_group = [
            await rows.tokens.add_deploy(
                source, digest=source.path, name="d", username=None, scopes=(), expires_at=None, creator_id=ada.id
            )
            for source in (project, team)
        ]
    user, namespace = (CounterScope.USER, ada.id), (CounterScope.NAMESPACE, top.id)
    expected = {personal: {user}, job: {user, namespace}, of_project: {namespace}, of_group: {namespace}}
    for token, scopes in expected.items():
        async with store.reading() as found:
            assert await found.tokens.scopes_of(token) == scopes
        assert await touched_by(store, partial(revoke, token_id=token.id)) == scopes


async def test_the_next_end_of_a_user_is_that_of_any_membership_that_is_not_over(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada, bob = await add_user(rows), await add_user(rows, "bob")
        team, other = await add_group(rows, "team"), await add_group(rows, "other")
        project = await add_project(rows, team)
        level = AccessLevel.GUEST
        await rows.tenants.add_namespace_member(team, ada.id, level=level, expires_at=NOW + 2 * HOUR)
        await rows.tenants.add_namespace_member(other, ada.id, level=level, expires_at=None)
        await rows.tenants.add_project_member(project, ada.id, level=level, expires_at=NOW + HOUR)
        await rows.tenants.add_namespace_member(team, bob.id, level=level, expires_at=None)
    async with store.reading() as found:
        ends = [await found.members.next_end(ada.id, now=NOW + late * HOUR) for late in range(3)]
        assert await found.members.next_end(bob.id, now=NOW) is None
    assert ends == [NOW + HOUR, NOW + 2 * HOUR, None]


async def test_the_counters_of_a_source_are_those_of_its_projects_whatever_is_in_them(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        own, empty, hidden = [
            await add_project(rows, group, path) for group, path in ((top, "own"), (team, "empty"), (team, "hidden"))
        ]
        for project in (own, empty):
            await rows.tenants.add_project_member(project, ada.id, level=AccessLevel.REPORTER, expires_at=None)
    elsewhere = await new_project(store, "elsewhere")
    for project in (own, own, hidden, elsewhere):
        async with store.writing() as rows:
            await rows.packages.find_or_add(new_package(project.id, f"{project.path}-{datetime.now(UTC)}"))

    def pull(group_id: NamespaceId) -> GroupPull:
        return GroupPull(group_id, frozenset({Visibility.PUBLIC}), OfMember(ada.id, AccessLevel.GUEST, NOW))

    async with store.reading() as found:
        assert await found.packages.counters(own.id, limit=9) == {(CounterScope.PROJECT, own.id): 2}
        assert await found.packages.counters(pull(top.id), limit=9) == {
            (CounterScope.PROJECT, own.id): 2,
            (CounterScope.PROJECT, empty.id): 0,
        }
        assert await found.packages.counters(pull(team.id), limit=9) == {(CounterScope.PROJECT, empty.id): 0}
        assert len(await found.packages.counters(pull(top.id), limit=1)) == 1
        assert await found.counters([INSTANCE]) == {INSTANCE: 0}
