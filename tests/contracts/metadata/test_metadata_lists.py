"""Lists of groups and projects as far as somebody may see them: TenantLists."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from shared.access import may_read_group, may_read_project
from shared.metadata.store import SqlMetadataStore, SqlReading, SqlWriting
from shared.models import AccessLevel, Namespace, Project, RegistryAccess, TokenId, User, Visibility
from shared.pages import PageRequest
from shared.ports.tenant_lists import (
    GroupFilter,
    GroupOrder,
    GroupReach,
    ProjectFilter,
    ProjectOrder,
    ProjectReach,
    Viewer,
)
from shared.principals import Anonymous, Principal, SignedIn
from tests.contracts.metadata.sample_rows import add_group, add_project, add_user

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALL = PageRequest(number=1, size=100)
NOBODY = Viewer(user_id=None, sees_internal=False, sees_all=False, now=NOW)
EVERYTHING = Viewer(user_id=None, sees_internal=True, sees_all=True, now=NOW)


def viewer(user: User) -> Viewer:
    return Viewer(user_id=user.id, sees_internal=not user.is_external, sees_all=user.is_admin, now=NOW)


async def open_project(rows: SqlWriting, namespace: Namespace, path: str, visibility: Visibility) -> Project:
    return await rows.tenants.add_project(
        namespace=namespace,
        name=path,
        path=path,
        description=f"about {path}",
        visibility=visibility,
        registry_access=RegistryAccess.ENABLED,
        creator_id=None,
    )


async def open_group(
    rows: SqlWriting, path: str, visibility: Visibility, *, parent: Namespace | None = None
) -> Namespace:
    return await rows.tenants.add_group(parent=parent, name=path, path=path, description="", visibility=visibility)


async def group_paths(store: SqlMetadataStore, **wanted: Any) -> list[str]:
    async with store.reading() as rows:
        page = await rows.tenant_lists.groups(GroupFilter(**{"viewer": EVERYTHING, **wanted}), ALL)
    return [group.full_path for group in page.entries]


async def project_paths(store: SqlMetadataStore, **wanted: Any) -> list[str]:
    async with store.reading() as rows:
        page = await rows.tenant_lists.projects(ProjectFilter(**{"viewer": EVERYTHING, **wanted}), ALL)
    return [standing.project.full_path for standing in page.entries]


async def test_the_lists_hold_what_the_access_rules_let_be_read(store: SqlMetadataStore) -> None:
    """Every kind of caller against every kind of group and project: the query and the functions say the same."""
    async with store.writing() as rows:
        groups: list[Namespace] = []
        projects: list[Project] = []
        for visibility in Visibility:
            top = await open_group(rows, f"{visibility}", visibility)
            sub = await open_group(rows, "sub", Visibility.PRIVATE, parent=top)
            groups += [top, sub, await open_group(rows, "leaf", Visibility.PRIVATE, parent=sub)]
            projects += [await open_project(rows, top, "app", visibility), await add_project(rows, sub, "lib")]
        users = [await add_user(rows, "stranger")]
        users.append(
            await rows.tenants.add_user(username="ext", name="E", email="e@x", is_admin=False, is_external=True)
        )
        users.append(
            await rows.tenants.add_user(username="boss", name="B", email="b@x", is_admin=True, is_external=False)
        )
        homes = await rows.tenants.namespace(users[0].namespace_id)
        assert homes is not None
        projects.append(await add_project(rows, homes, "mine"))
        for level in (AccessLevel.MINIMAL, AccessLevel.GUEST, AccessLevel.OWNER):
            for number, group in enumerate(groups):
                users.append(user := await add_user(rows, f"g{number}-{level}"))
                await rows.tenants.add_namespace_member(group, user.id, level=level, expires_at=None)
            for number, project in enumerate(projects):
                users.append(user := await add_user(rows, f"p{number}-{level}"))
                await rows.tenants.add_project_member(project, user.id, level=level, expires_at=None)
        users.append(late := await add_user(rows, "late"))
        await rows.tenants.add_project_member(projects[1], late.id, level=AccessLevel.OWNER, expires_at=NOW)
    async with store.reading() as reader:
        for viewing in (None, *users):
            looks = NOBODY if viewing is None else viewer(viewing)
            listed = await reader.tenant_lists.groups(GroupFilter(viewer=looks, order=GroupOrder.ID), ALL)
            assert list(listed.entries) == [one for one in groups if await reads_group(reader, viewing, one)], viewing
            wanted = ProjectFilter(viewer=looks, order=ProjectOrder.ID, is_descending=False)
            found = await reader.tenant_lists.projects(wanted, ALL)
            assert [one.project for one in found.entries] == [
                one for one in projects if await reads_project(reader, viewing, one)
            ], viewing
            for one in found.entries:
                assert max(one.own_level, one.group_level) is await level_in(reader, viewing, one.project)


def principal(user: User | None) -> Principal:
    return Anonymous() if user is None else SignedIn(user=user, token_id=TokenId(1), scopes=())


async def level_in(rows: SqlReading, user: User | None, project: Project) -> AccessLevel:
    if user is None:
        return AccessLevel.NO_ACCESS
    return await rows.tenants.level_in_project(user.id, project, now=NOW)


async def reads_project(rows: SqlReading, user: User | None, project: Project) -> bool:
    return may_read_project(principal(user), project, await level_in(rows, user, project))


async def reads_group(rows: SqlReading, user: User | None, group: Namespace) -> bool:
    if user is None:
        return may_read_group(principal(user), group, AccessLevel.NO_ACCESS, is_member_below=False)
    level = await rows.tenants.level_in_namespace(user.id, group, now=NOW)
    is_below = await rows.tenant_lists.is_member_below(group, user.id, now=NOW)
    return may_read_group(principal(user), group, level, is_member_below=is_below)


async def test_a_member_of_a_project_sees_the_groups_above_it_and_nothing_beside_it(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        await add_group(rows, "beside", parent=top)
        project = await add_project(rows, team, "app")
        await add_project(rows, team, "secret")
        await rows.tenants.add_project_member(project, ada.id, level=AccessLevel.GUEST, expires_at=None)
    assert await group_paths(store, viewer=viewer(ada)) == ["top/team", "top"]
    assert await project_paths(store, viewer=viewer(ada)) == ["top/team/app"]
    late = Viewer(user_id=ada.id, sees_internal=True, sees_all=False, now=NOW + timedelta(days=1))
    assert await project_paths(store, viewer=late) == ["top/team/app"]


async def test_groups_are_filtered(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        top = await open_group(rows, "top", Visibility.PUBLIC)
        team = await open_group(rows, "Team_1", Visibility.INTERNAL, parent=top)
        deep = await open_group(rows, "deep", Visibility.PRIVATE, parent=team)
        other = await open_group(rows, "other", Visibility.PUBLIC)
        await rows.tenants.add_namespace_member(team, ada.id, level=AccessLevel.MAINTAINER, expires_at=None)
    own = viewer(ada)
    assert await group_paths(store, viewer=own, is_own=True) == ["top/Team_1", "top/Team_1/deep", "top"]
    assert await group_paths(store, viewer=own, lowest_level=AccessLevel.MAINTAINER) == [
        "top/Team_1",
        "top/Team_1/deep",
    ]
    assert await group_paths(store, viewer=own, lowest_level=AccessLevel.OWNER) == []
    assert await group_paths(store, lowest_level=AccessLevel.GUEST) == [], "an administrator is a member of nothing"
    assert await group_paths(store, reach=GroupReach.TOP_LEVEL) == ["other", "top"]
    assert await group_paths(store, reach=GroupReach.CHILDREN, parent_id=top.id) == ["top/Team_1"]
    assert await group_paths(store, reach=GroupReach.DESCENDANTS, parent_id=top.id) == [
        "top/Team_1",
        "top/Team_1/deep",
    ]
    assert await group_paths(store, visibility=Visibility.PRIVATE) == ["top/Team_1/deep"]
    assert await group_paths(store, skipped_ids=(top.id, team.id, 2**63 - 1, 2**70)) == ["top/Team_1/deep", "other"]
    assert await group_paths(store, search="tEAM") == ["top/Team_1"]
    assert await group_paths(store, search="m_1 t") == ["top/Team_1"]
    assert await group_paths(store, search="t%") == []
    assert await group_paths(store, search="a\0b\udc80") == []
    assert await group_paths(store, order=GroupOrder.ID, is_descending=True) == [
        one.full_path for one in (other, deep, team, top)
    ]


async def test_groups_of_one_name_stand_by_ascending_id_in_both_directions(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        for path in ("b", "a", "c"):
            await rows.tenants.add_group(
                parent=None, name="same", path=path, description="", visibility=Visibility.PUBLIC
            )
    assert await group_paths(store) == ["b", "a", "c"]
    assert await group_paths(store, is_descending=True) == ["b", "a", "c"]
    assert await group_paths(store, order=GroupOrder.PATH, is_descending=True) == ["c", "b", "a"]


async def test_projects_are_filtered(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        home = await rows.tenants.namespace(ada.namespace_id)
        assert home is not None
        top = await open_group(rows, "top", Visibility.PUBLIC)
        team = await open_group(rows, "team", Visibility.PUBLIC, parent=top)
        await open_project(rows, top, "b", Visibility.PUBLIC)
        await open_project(rows, team, "a", Visibility.INTERNAL)
        await open_project(rows, home, "mine", Visibility.PRIVATE)
        await rows.tenants.add_namespace_member(team, ada.id, level=AccessLevel.DEVELOPER, expires_at=None)
    own = viewer(ada)
    assert await project_paths(store, viewer=NOBODY) == ["top/b"]
    assert await project_paths(store, viewer=own) == ["ada/mine", "top/team/a", "top/b"]
    assert await project_paths(store, viewer=own, lowest_level=AccessLevel.GUEST) == ["ada/mine", "top/team/a"]
    assert await project_paths(store, viewer=own, lowest_level=AccessLevel.OWNER) == ["ada/mine"]
    assert await project_paths(store, viewer=own, visibility=Visibility.INTERNAL) == ["top/team/a"]
    assert await project_paths(store, reach=ProjectReach.NAMESPACE, namespace_id=top.id) == ["top/b"]
    below = await project_paths(store, reach=ProjectReach.NAMESPACE_AND_BELOW, namespace_id=top.id)
    assert below == ["top/team/a", "top/b"]
    assert await project_paths(store, search="ABOUT a") == ["ada/mine", "top/team/a", "top/b"]
    assert await project_paths(store, search="about mine") == ["ada/mine"]
    assert await project_paths(store, order=ProjectOrder.NAME, is_descending=False) == [
        "top/team/a",
        "top/b",
        "ada/mine",
    ]


async def test_a_page_tells_how_many_there_are_and_whether_more_follow(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        team = await add_group(rows, "team")
        for number in range(5):
            await add_project(rows, team, f"p{number}")
    wanted = ProjectFilter(viewer=EVERYTHING, order=ProjectOrder.PATH, is_descending=False)
    async with store.reading() as rows:
        pages = [await rows.tenant_lists.projects(wanted, PageRequest(number, 2)) for number in (1, 3, 4, 2**31)]
    assert [[one.project.path for one in page.entries] for page in pages] == [["p0", "p1"], ["p4"], [], []]
    assert [page.has_more for page in pages] == [True, False, False, False]
    assert {page.total for page in pages} == {5}


@pytest.mark.parametrize("size", [1, 40])
async def test_a_page_takes_as_many_queries_however_long_it_is(store: SqlMetadataStore, size: int) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        team = await add_group(rows, "team")
        for number in range(size):
            await add_project(rows, await add_group(rows, f"sub{number}", parent=team))
        await rows.tenants.add_namespace_member(team, ada.id, level=AccessLevel.GUEST, expires_at=None)
    queries: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        queries.append(statement)

    async with store.reading() as reader:
        connection = reader._transaction.connection.sync_connection
        event.listen(connection, "before_cursor_execute", note)
        page = await reader.tenant_lists.projects(ProjectFilter(viewer=viewer(ada)), ALL)
        assert len(queries) == 6
        groups = await reader.tenant_lists.groups(GroupFilter(viewer=viewer(ada)), ALL)
        event.remove(connection, "before_cursor_execute", note)
    assert len(queries) == 9
    assert len(page.entries) == size
    assert len(groups.entries) == size + 1
