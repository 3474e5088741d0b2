"""Users, groups, projects and members: TenantReads and TenantWrites."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from shared.errors import RecordInvalid
from shared.metadata.store import SqlMetadataStore
from shared.metadata.tenant_tables import namespace_ancestors, projects
from shared.models import AccessLevel, NamespaceId, NamespaceKind, ProjectId, UserId, UserState, Visibility
from tests.contracts.metadata.sample_rows import add_group, add_project, add_user

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TAKEN = ("has already been taken",)


async def test_a_user_comes_with_a_personal_namespace_of_its_name(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        user = await rows.tenants.add_user(
            username="Ada", name="Ada L.", email="Ada@localhost", is_admin=True, is_external=True
        )
    async with store.reading() as rows:
        namespace = await rows.tenants.namespace(user.namespace_id)
        found = await rows.tenants.user(user.id)
    assert namespace is not None
    assert (namespace.kind, namespace.path, namespace.full_path) == (NamespaceKind.USER, "Ada", "Ada")
    assert namespace.ancestor_ids == (namespace.id,)
    assert found == user
    assert (user.username, user.name, user.email) == ("Ada", "Ada L.", "Ada@localhost")
    assert (user.is_admin, user.is_external, user.state) == (True, True, UserState.ACTIVE)


async def test_users_are_found_by_name_whatever_its_case(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        user = await add_user(rows, "Ada")
    async with store.reading() as rows:
        assert await rows.tenants.user_by_username("aDA") == user
        assert await rows.tenants.user_by_username("bob") is None


@pytest.mark.parametrize(
    ("username", "email", "attributes"),
    [
        ("ADA", "other@localhost", ["username"]),
        ("other", "ADA@localhost", ["email"]),
        ("ada", "ada@localhost", ["email", "username"]),
        ("TEAM", "other@localhost", ["username"]),
    ],
)
async def test_a_user_is_refused_whose_name_or_email_is_taken(
    store: SqlMetadataStore, username: str, email: str, attributes: list[str]
) -> None:
    async with store.writing() as rows:
        await add_user(rows, "ada", email="ada@localhost")
        await add_group(rows, "team")
        with pytest.raises(RecordInvalid) as refused:
            await add_user(rows, username, email=email)
    assert refused.value.messages == dict.fromkeys(attributes, TAKEN)


async def test_a_refused_user_leaves_nothing_though_the_transaction_goes_on(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        await add_user(rows, "ada")
        with pytest.raises(RecordInvalid):
            await add_user(rows, "bob", email="ada@localhost")
    async with store.reading() as rows:
        assert await rows.tenants.namespace_by_path("bob") is None
        assert await rows.tenants.user_by_username("ada") is not None


async def test_a_group_knows_its_ancestors_from_the_top(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "Top")
        middle = await add_group(rows, "Middle", parent=top)
        bottom = await rows.tenants.add_group(
            parent=middle, name="The bottom", path="Bottom", description="deep", visibility=Visibility.INTERNAL
        )
    assert bottom.ancestor_ids == (top.id, middle.id, bottom.id)
    assert bottom.top_level_id == top.id
    assert (bottom.parent_id, bottom.full_path) == (middle.id, "Top/Middle/Bottom")
    assert (bottom.name, bottom.description, bottom.visibility) == ("The bottom", "deep", Visibility.INTERNAL)
    async with store.reading() as rows:
        assert await rows.tenants.namespace(bottom.id) == bottom
        assert await rows.tenants.namespace_by_path("top/MIDDLE/bottom") == bottom
        assert await rows.tenants.namespace_by_path("bottom") is None


async def test_a_group_is_refused_whose_path_a_group_a_project_or_a_person_has(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        await add_user(rows, "ada")
        team = await add_group(rows, "team")
        await add_group(rows, "sub", parent=team)
        await add_project(rows, team, "app")
        for parent, path in ((None, "TEAM"), (None, "Ada"), (team, "SUB"), (team, "APP")):
            with pytest.raises(RecordInvalid) as refused:
                await add_group(rows, path, parent=parent)
            assert refused.value.messages == {"path": TAKEN}
        await add_group(rows, "team", parent=team)


async def test_a_project_is_found_by_id_and_by_path_whatever_its_case(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        team = await add_group(rows, "Team", parent=await add_group(rows, "top"))
        project = await add_project(rows, team, "App")
    assert (project.full_path, project.namespace) == ("top/Team/App", team)
    async with store.reading() as rows:
        assert await rows.tenants.project(project.id) == project
        assert await rows.tenants.project_by_path("TOP/team/aPP") == project
        assert await rows.tenants.project_by_path("top/team") is None


async def test_a_project_is_refused_whose_path_or_name_is_taken_in_its_namespace(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        team = await add_group(rows, "team")
        other = await add_group(rows, "other")
        await add_group(rows, "sub", parent=team)
        await add_project(rows, team, "app", name="The app")
        for path, name, attributes in (
            ("APP", "Another", ["path"]),
            ("sub", "Another", ["path"]),
            ("app2", "The app", ["project_namespace.name", "name"]),
            ("app", "The app", ["path", "project_namespace.name", "name"]),
        ):
            with pytest.raises(RecordInvalid) as refused:
                await add_project(rows, team, path, name=name)
            assert refused.value.messages == dict.fromkeys(attributes, TAKEN)
        assert (await add_project(rows, other, "app", name="The app")).full_path == "other/app"


async def test_what_nobody_can_have_is_not_found(store: SqlMetadataStore) -> None:
    async with store.reading() as rows:
        for number in (0, -1, 5, 2**63 - 1, 2**63, 10**30):
            assert await rows.tenants.project(ProjectId(number)) is None
            assert await rows.tenants.namespace(NamespaceId(number)) is None
            assert await rows.tenants.user(UserId(number)) is None
        for text in ("", "a\0b", "\udc80", "ü/ö", "%", "x" * 5000):
            assert await rows.tenants.project_by_path(text) is None
            assert await rows.tenants.namespace_by_path(text) is None
            assert await rows.tenants.user_by_username(text) is None


async def test_a_stranger_has_no_level(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        team = await add_group(rows, "team")
        project = await add_project(rows, team)
    async with store.reading() as rows:
        assert await rows.tenants.level_in_project(ada.id, project, now=NOW) is AccessLevel.NO_ACCESS
        assert await rows.tenants.level_in_namespace(ada.id, team, now=NOW) is AccessLevel.NO_ACCESS


async def test_the_owner_of_a_personal_namespace_owns_its_projects(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada, bob = await add_user(rows, "ada"), await add_user(rows, "bob")
        home = await rows.tenants.namespace(ada.namespace_id)
        assert home is not None
        project = await add_project(rows, home)
        assert await rows.tenants.level_in_project(ada.id, project, now=NOW) is AccessLevel.OWNER
        assert await rows.tenants.level_in_namespace(ada.id, home, now=NOW) is AccessLevel.OWNER
        assert await rows.tenants.level_in_project(bob.id, project, now=NOW) is AccessLevel.NO_ACCESS


async def test_the_highest_level_counts_wherever_it_comes_from(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        sibling = await add_group(rows, "sibling", parent=top)
        project = await add_project(rows, team)
        await rows.tenants.add_namespace_member(sibling, ada.id, level=AccessLevel.OWNER, expires_at=None)
        await rows.tenants.add_project_member(project, ada.id, level=AccessLevel.REPORTER, expires_at=None)
        assert await rows.tenants.level_in_project(ada.id, project, now=NOW) is AccessLevel.REPORTER
        assert await rows.tenants.level_in_namespace(ada.id, team, now=NOW) is AccessLevel.NO_ACCESS
        await rows.tenants.add_namespace_member(top, ada.id, level=AccessLevel.MAINTAINER, expires_at=None)
        await rows.tenants.add_namespace_member(team, ada.id, level=AccessLevel.GUEST, expires_at=None)
        assert await rows.tenants.level_in_project(ada.id, project, now=NOW) is AccessLevel.MAINTAINER
        assert await rows.tenants.level_in_namespace(ada.id, team, now=NOW) is AccessLevel.MAINTAINER


async def test_a_member_who_is_added_again_has_the_new_level_only(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        team = await add_group(rows, "team")
        project = await add_project(rows, team)
        for level in (AccessLevel.OWNER, AccessLevel.GUEST):
            await rows.tenants.add_namespace_member(team, ada.id, level=level, expires_at=None)
            await rows.tenants.add_project_member(project, ada.id, level=level, expires_at=None)
        assert await rows.tenants.level_in_project(ada.id, project, now=NOW) is AccessLevel.GUEST


async def test_a_membership_counts_until_the_instant_of_its_expiry(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        team = await add_group(rows, "team")
        project = await add_project(rows, team)
        await rows.tenants.add_namespace_member(team, ada.id, level=AccessLevel.DEVELOPER, expires_at=NOW)
        await rows.tenants.add_project_member(project, ada.id, level=AccessLevel.GUEST, expires_at=None)
        just_before = NOW - timedelta(microseconds=1)
        assert await rows.tenants.level_in_project(ada.id, project, now=just_before) is AccessLevel.DEVELOPER
        assert await rows.tenants.level_in_project(ada.id, project, now=NOW) is AccessLevel.GUEST
        assert await rows.tenants.level_in_namespace(ada.id, team, now=NOW) is AccessLevel.NO_ACCESS


async def test_all_projects_below_a_group_are_one_query(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        await add_project(rows, await add_group(rows, "other"), "elsewhere")
        below = [await add_project(rows, top, "a"), await add_project(rows, team, "b")]
        deep = await add_project(rows, await add_group(rows, "deep", parent=team), "c")
    query = (
        select(projects.c.id)
        .join(namespace_ancestors, namespace_ancestors.c.namespace_id == projects.c.namespace_id)
        .order_by(projects.c.id)
    )
    async with store.reading() as reader:
        of_top = await reader._transaction.rows(query.where(namespace_ancestors.c.ancestor_id == top.id))
        of_team = await reader._transaction.rows(query.where(namespace_ancestors.c.ancestor_id == team.id))
    assert [row.id for row in of_top] == [project.id for project in (*below, deep)]
    assert [row.id for row in of_team] == [below[1].id, deep.id]
