"""CI jobs: JobTokenReads and JobTokenWrites."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import chain, combinations

import pytest

from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.models import CounterScope, NamespaceId, Pipeline, Project, ProjectId, TokenId, User
from shared.pages import PageRequest
from shared.ports.job_token_rows import JobToken, NewPipeline
from tests.contracts.metadata.sample_rows import add_group, add_project, add_user, new_project
from tests.contracts.metadata.test_metadata_counters import touched_by

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALL = PageRequest(1, 100)
FIRST = NewPipeline(
    number=7, iid=3, ref="main", sha="a" * 40, source="push", status="running", web_url="https://ci.localhost/7"
)


async def start(
    rows: SqlWriting, project: Project, user: User, *, number: int = 7, expires_at: datetime = NOW + HOUR
) -> JobToken:
    pipeline = await rows.job_tokens.save_pipeline(project, NewPipeline(number=number), user_id=user.id)
    token = await rows.tokens.add_job(
        pipeline,
        digest=f"{project.id}-{number}-{expires_at}",
        user_id=user.id,
        expires_at=expires_at,
        creator_id=user.id,
    )
    return JobToken(token, pipeline)


async def one_project(store: SqlMetadataStore, path: str = "app") -> tuple[Project, User]:
    project = await new_project(store, path)
    async with store.writing() as rows:
        return project, await add_user(rows, f"user-of-{path}")


async def test_a_pipeline_is_told_as_it_was_saved(store: SqlMetadataStore) -> None:
    project, user = await one_project(store)
    async with store.writing() as rows:
        pipeline = await rows.job_tokens.save_pipeline(project, FIRST, user_id=user.id)
    assert pipeline == Pipeline(
        id=pipeline.id,
        project_id=project.id,
        number=7,
        iid=3,
        ref="main",
        sha="a" * 40,
        source="push",
        status="running",
        web_url="https://ci.localhost/7",
        user=user,
        created_at=pipeline.created_at,
        updated_at=pipeline.created_at,
    )


async def test_the_same_pipeline_is_brought_up_to_date_and_keeps_what_is_not_said(store: SqlMetadataStore) -> None:
    project, user = await one_project(store)
    async with store.writing() as rows:
        other = await add_user(rows, "another")
        first = await rows.job_tokens.save_pipeline(project, FIRST, user_id=user.id)
    async with store.writing() as rows:
        said = NewPipeline(number=7, status="success", ref="v1")
        second = await rows.job_tokens.save_pipeline(project, said, user_id=other.id)
    assert (second.id, second.created_at, second.user) == (first.id, first.created_at, user)
    assert (second.status, second.ref) == ("success", "v1")
    assert (second.iid, second.sha, second.source, second.web_url) == (
        first.iid,
        first.sha,
        first.source,
        first.web_url,
    )
    assert second.updated_at > first.updated_at


async def test_pipelines_of_one_number_in_two_projects_are_two(store: SqlMetadataStore) -> None:
    (one, user), (other, _) = await one_project(store), await one_project(store, "other")
    async with store.writing() as rows:
        first = await rows.job_tokens.save_pipeline(one, FIRST, user_id=user.id)
        second = await rows.job_tokens.save_pipeline(other, NewPipeline(number=7), user_id=user.id)
        third = await rows.job_tokens.save_pipeline(one, NewPipeline(number=2**63 - 1), user_id=user.id)
    assert len({first.id, second.id, third.id}) == 3
    assert (second.ref, third.number) == (None, 2**63 - 1)


async def test_jobs_that_run_are_listed_newest_first_each_with_its_pipeline(store: SqlMetadataStore) -> None:
    (project, user), (other, _) = await one_project(store), await one_project(store, "other")
    async with store.writing() as rows:
        personal = await rows.tokens.add_personal(user.id, digest="p", name="p", scopes=("api",), expires_at=NOW + HOUR)
        deploy = await rows.tokens.add_deploy(
            project, digest="d", name="d", username=None, scopes=(), expires_at=None, creator_id=user.id
        )
        good = [await start(rows, project, user, number=number) for number in (7, 9, 8)]
        expired = await start(rows, project, user, number=10, expires_at=NOW)
        elsewhere = await start(rows, other, user)
        ended = await start(rows, project, user, number=11)
        await rows.tokens.revoke(ended.token.id, at=NOW)
    async with store.reading() as rows:
        page = await rows.job_tokens.running_page(project, PageRequest(1, 2), now=NOW)
        rest = await rows.job_tokens.running_page(project, PageRequest(2, 2), now=NOW)
        assert page.entries + rest.entries == tuple(reversed(good))
        assert (page.total, page.has_more, rest.has_more) == (3, True, False)
        assert await rows.job_tokens.running(project, good[0].token.id, now=NOW) == good[0].token
        for other_id in (
            personal.id,
            deploy.id,
            expired.token.id,
            elsewhere.token.id,
            ended.token.id,
            TokenId(0),
            TokenId(-1),
            TokenId(2**63),
        ):
            assert await rows.job_tokens.running(project, other_id, now=NOW) is None


async def test_the_users_of_a_job_and_of_its_pipeline_are_kept_apart(store: SqlMetadataStore) -> None:
    project, first = await one_project(store)
    async with store.writing() as rows:
        second = await add_user(rows, "second")
        await start(rows, project, first)
        await start(rows, project, second, expires_at=NOW + 2 * HOUR)
        page = await rows.job_tokens.running_page(project, ALL, now=NOW)
    assert [(job.token.user_id, job.pipeline.user) for job in page.entries] == [(second.id, first), (first.id, first)]


async def test_a_project_lets_in_its_own_jobs_and_those_on_its_list(store: SqlMetadataStore) -> None:
    project, user = await one_project(store)
    other, _ = await one_project(store, "other")
    doomed, _ = await one_project(store, "doomed")
    async with store.writing() as rows:
        assert (await rows.job_tokens.allowed_projects(project, ALL)).entries == (project,)
        assert await rows.job_tokens.allow_project(project, other.id, creator_id=user.id)
        assert not await rows.job_tokens.allow_project(project, other.id, creator_id=user.id)
        assert await rows.job_tokens.allow_project(project, doomed.id, creator_id=user.id)
        await rows.tenant_changes.doom_project(doomed)
        assert (await rows.job_tokens.allowed_projects(project, ALL)).entries == (project, other)
        assert (await rows.job_tokens.allowed_projects(other, ALL)).entries == (other,)
        second = await rows.job_tokens.allowed_projects(project, PageRequest(2, 1))
        assert (second.entries, second.total, second.has_more) == ((other,), 2, False)
        assert not await rows.job_tokens.disallow_project(other, project.id)
        assert await rows.job_tokens.disallow_project(project, other.id)
        assert not await rows.job_tokens.disallow_project(project, other.id)
        assert (await rows.job_tokens.allowed_projects(project, ALL)).entries == (project,)


async def test_a_project_lets_in_the_jobs_below_groups_on_its_list(store: SqlMetadataStore) -> None:
    project, user = await one_project(store)
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        sub = await add_group(rows, "sub", parent=top)
        gone = await add_group(rows, "gone")
        for group in (sub, top, gone):
            assert await rows.job_tokens.allow_group(project, group.id, creator_id=user.id)
        assert not await rows.job_tokens.allow_group(project, top.id, creator_id=user.id)
        await rows.tenant_changes.doom_group(gone)
        page = await rows.job_tokens.allowed_groups(project, ALL)
        assert (page.entries, page.total) == ((top, sub), 2)
        assert await rows.job_tokens.disallow_group(project, sub.id)
        assert not await rows.job_tokens.disallow_group(project, sub.id)
        assert not await rows.job_tokens.disallow_project(project, ProjectId(top.id))
        assert (await rows.job_tokens.allowed_groups(project, ALL)).entries == (top,)
        for none in (0, -1, 2**63):
            assert not await rows.job_tokens.disallow_group(project, NamespaceId(none))
            assert not await rows.job_tokens.disallow_project(project, ProjectId(none))


def subsets(names: Iterable[str]) -> list[frozenset[str]]:
    every = sorted(names)
    return [*map(frozenset, chain.from_iterable(combinations(every, size) for size in range(len(every) + 1)))]


async def test_no_job_is_let_in_because_an_entry_went(store: SqlMetadataStore) -> None:
    """All allow-lists of five entries, of which three are about the job's project, one by one."""
    into, user = await one_project(store, "into")
    stranger, _ = await one_project(store, "stranger")
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        sub = await add_group(rows, "sub", parent=top)
        other = await add_group(rows, "other", parent=top)
        source = await add_project(rows, sub, "source")
    about = {"source", "sub", "top"}
    targets: dict[str, Project | NamespaceId] = {
        "source": source,
        "stranger": stranger,
        "sub": sub.id,
        "top": top.id,
        "other": other.id,
    }
    is_let_in: dict[frozenset[str], bool] = {}
    for entries in subsets(targets):
        async with store.writing() as rows:
            for name, target in targets.items():
                listed = name in entries
                if isinstance(target, Project):
                    await rows.job_tokens.disallow_project(into, target.id)
                    if listed:
                        await rows.job_tokens.allow_project(into, target.id, creator_id=user.id)
                else:
                    await rows.job_tokens.disallow_group(into, target)
                    if listed:
                        await rows.job_tokens.allow_group(into, target, creator_id=user.id)
            is_let_in[entries] = await rows.job_tokens.is_allowed(source, into=into.id)
            assert not await rows.job_tokens.is_allowed(into, into=source.id)
    assert len(is_let_in) == 32
    for entries, before in is_let_in.items():
        assert before is bool(entries & about)
        for entry in entries:
            assert is_let_in[entries - {entry}] <= before


@pytest.mark.parametrize("is_enabled", [True, False])
async def test_the_list_counts_or_not(store: SqlMetadataStore, *, is_enabled: bool) -> None:
    project, _ = await one_project(store)
    async with store.writing() as rows:
        assert await rows.job_tokens.switch_scope(project, is_enabled=is_enabled) is not is_enabled
        assert not await rows.job_tokens.switch_scope(project, is_enabled=is_enabled)
        found = await rows.tenants.project(project.id)
        assert found is not None
        assert found.job_token_scope_enabled is is_enabled
        await rows.tenant_changes.doom_project(project)
        assert not await rows.job_tokens.switch_scope(project, is_enabled=not is_enabled)


async def test_who_is_let_in_counts_for_the_namespace_and_a_pipeline_for_its_project(store: SqlMetadataStore) -> None:
    (project, user), (other, _) = await one_project(store), await one_project(store, "other")
    own = {(CounterScope.NAMESPACE, project.namespace.id)}

    async def twice(rows: SqlWriting) -> None:
        await rows.job_tokens.save_pipeline(project, FIRST, user_id=user.id)
        await rows.job_tokens.save_pipeline(project, FIRST, user_id=user.id)

    assert await touched_by(store, twice) == {(CounterScope.PROJECT, project.id)}
    job = {*own, (CounterScope.PROJECT, project.id), (CounterScope.USER, user.id)}
    assert await touched_by(store, lambda rows: start(rows, project, user)) == job
    for change in (
        lambda rows: rows.job_tokens.allow_project(project, other.id, creator_id=user.id),
        lambda rows: rows.job_tokens.disallow_project(project, other.id),
        lambda rows: rows.job_tokens.allow_group(project, other.namespace.id, creator_id=user.id),
        lambda rows: rows.job_tokens.disallow_group(project, other.namespace.id),
        lambda rows: rows.job_tokens.switch_scope(project, is_enabled=False),
    ):
        assert await touched_by(store, change) == own
    assert await touched_by(store, lambda rows: rows.job_tokens.switch_scope(project, is_enabled=False)) == set()
    assert await touched_by(store, lambda rows: rows.job_tokens.disallow_project(project, other.id)) == set()
