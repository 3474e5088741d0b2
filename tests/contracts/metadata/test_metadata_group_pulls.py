"""What installers see of a group: index, page and installable_file of a GroupPull."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from shared.access import is_listed_in_group, may_pull_through_group
from shared.metadata.access_tables import job_token_allowlist
from shared.metadata.store import SqlMetadataStore, SqlReading, SqlWriting
from shared.metadata.tenant_tables import projects as project_rows
from shared.models import (
    AccessLevel,
    IndexedPage,
    InstanceSettings,
    Namespace,
    PackageFileStatus,
    PipelineId,
    Project,
    ProjectId,
    RegistryAccess,
    TokenId,
    User,
    Visibility,
)
from shared.names import NormalizedName
from shared.ports.pull_sources import GroupPull, PullSource
from shared.principals import READ_PACKAGES, WRITE_PACKAGES, Anonymous, DeployToken, Job, Principal, SignedIn, user_of
from shared.status_markers import UNMARKED
from shared.usecases.admission import pull_rules
from shared.usecases.pull_sources import source_of_files, source_of_pages
from shared.usecases.standing import level_in_project
from shared.usecases.visits import GroupVisit
from tests.contracts.metadata.sample_rows import add_group, add_project, publish

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DEMO = NormalizedName("demo")
SETTINGS = [
    InstanceSettings(
        allow_guest_plus_roles_to_pull_packages=guests, package_registry_allow_anyone_to_pull_option=anyone
    )
    for guests, anyone in itertools.product((True, False), repeat=2)
]


@dataclass(frozen=True, slots=True)
class World:
    """Groups, projects with a package each, and people, all as chance would have them."""

    groups: list[Namespace]
    projects: list[Project]
    users: list[User]

    def principals(self) -> Iterable[Principal]:
        yield Anonymous()
        for user in self.users:
            yield SignedIn(user=user, token_id=TokenId(1), scopes=("api",))
            for project in self.projects[:2]:
                yield Job(user=user, token_id=TokenId(1), project=project, pipeline_id=PipelineId(1))
        for scopes in ((READ_PACKAGES,), (WRITE_PACKAGES,), ("read_repository",)):
            for group in self.groups:
                yield DeployToken(token_id=TokenId(1), project_id=None, namespace_id=group.id, scopes=scopes)
            for project in self.projects[:3]:
                yield DeployToken(token_id=TokenId(1), project_id=project.id, namespace_id=None, scopes=scopes)


def visit(principal: Principal, group: Namespace, settings: InstanceSettings) -> GroupVisit:
    return GroupVisit(
        principal=principal, group=group, level=AccessLevel.NO_ACCESS, is_member_below=False, settings=settings
    )


def everything_in(group: Namespace) -> GroupPull:
    return GroupPull(group_id=group.id, open_visibilities=frozenset(Visibility), own=None)


async def new_world(store: SqlMetadataStore, chance: random.Random) -> World:
    async with store.writing() as rows:
        groups: list[Namespace] = []
        for number in range(5):
            groups.append(await add_group(rows, f"g{number}", parent=chance.choice([None, *groups])))
        projects = [
            await rows.tenants.add_project(
                namespace=chance.choice(groups),
                name=f"p{number}",
                path=f"p{number}",
                description="",
                visibility=chance.choice(list(Visibility)),
                registry_access=chance.choice(list(RegistryAccess)),
                creator_id=None,
            )
            for number in range(12)
        ]
        users = [
            await rows.tenants.add_user(
                username=f"u{number}",
                name="U",
                email=f"u{number}@localhost",
                is_admin=number == 0,
                is_external=chance.random() < 0.4,
            )
            for number in range(6)
        ]
        for user in users:
            await join_at_random(rows, chance, user, groups=groups, projects=projects)
        for project in projects:
            await let_in_at_random(rows, chance, project, groups=groups, projects=projects)
    for project in projects:
        await publish(store, project, f"{project.path}-1.0.tar.gz", name=project.path)
    async with store.reading() as reader:
        found = [await reader.tenants.project(project.id) for project in projects]
    return World(groups=groups, projects=[project for project in found if project], users=users)


async def join_at_random(
    rows: SqlWriting, chance: random.Random, user: User, *, groups: list[Namespace], projects: list[Project]
) -> None:
    ends = (None, None, NOW + timedelta(seconds=1), NOW)
    for group in chance.sample(groups, k=chance.randint(0, 2)):
        await rows.tenants.add_namespace_member(
            group, user.id, level=chance.choice(list(AccessLevel)[1:]), expires_at=chance.choice(ends)
        )
    for project in chance.sample(projects, k=chance.randint(2, 8)):
        await rows.tenants.add_project_member(
            project, user.id, level=chance.choice(list(AccessLevel)[1:]), expires_at=chance.choice(ends)
        )


async def let_in_at_random(
    rows: SqlWriting, chance: random.Random, project: Project, *, groups: list[Namespace], projects: list[Project]
) -> None:
    is_scoped = chance.random() < 0.8
    change = rows._transaction.change
    await change(update(project_rows).where(project_rows.c.id == project.id).values(job_token_scope_enabled=is_scoped))
    allowed: list[dict[str, int]] = [{"allowed_project_id": one.id} for one in projects[:3] if chance.random() < 0.3]
    allowed += [{"allowed_namespace_id": one.id} for one in groups if chance.random() < 0.15]
    for one in allowed:
        await change(insert(job_token_allowlist).values(project_id=project.id, created_at=NOW, **one))


@pytest.mark.parametrize("seed", range(2))
async def test_a_group_shows_and_serves_what_the_access_rules_let_be_pulled(store: SqlMetadataStore, seed: int) -> None:
    """Every kind of caller against every group: the queries and the functions say the same of each project."""
    world = await new_world(store, random.Random(seed))
    async with store.reading() as rows:
        for principal in world.principals():
            levels = {one.id: await level_in_project(rows, principal, one, now=NOW) for one in world.projects}
            # The level that it takes is asked of nobody but users.
            settings_that_matter = SETTINGS if user_of(principal) else SETTINGS[:1]
            for group, settings in itertools.product(world.groups[:3], settings_that_matter):
                below = [one for one in world.projects if group.id in one.namespace.ancestor_ids]
                rules = pull_rules(settings)
                comes = visit(principal, group, settings)
                assert await names_in(rows, source_of_pages(comes, now=NOW)) == {
                    one.path for one in below if is_listed_in_group(principal, one, levels[one.id], rules)
                }, (principal, group.path)
                assert await names_in(rows, source_of_files(comes, now=NOW)) == {
                    one.path for one in below if may_pull_through_group(principal, one, levels[one.id], rules)
                }, (principal, group.path)


async def names_in(rows: SqlReading, source: PullSource) -> set[str]:
    return {line.name for line in await rows.packages.index(source)}


async def test_the_index_of_a_group_has_one_line_a_name_spelt_as_the_lowest_package_is(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        second, first = await add_project(rows, top, "b"), await add_project(rows, team, "a")
        beside = await add_project(rows, await add_group(rows, "beside"))
    await publish(store, first, "1.tar.gz", name="De.Mo", version="1", requires_python=">=1")
    await publish(store, second, "2.tar.gz", name="de_mo", version="10", requires_python=">=2")
    await publish(store, first, "3.tar.gz", name="demo", version="9", requires_python=">=3")
    await publish(store, second, "4.tar.gz", name="apart", version="9", requires_python=">=4")
    await publish(store, beside, "5.tar.gz", name="elsewhere")
    async with store.reading() as reader:
        index = await reader.packages.index(everything_in(top))
        assert [(line.name, line.requires_python) for line in index] == [
            ("apart", ">=4"),
            ("De.Mo", ">=2"),
            ("demo", ">=3"),
        ]
        assert [line.name for line in await reader.packages.index(everything_in(team))] == ["De.Mo", "demo"]


async def test_a_page_of_a_group_has_the_files_of_all_projects_by_package_then_by_file(
    store: SqlMetadataStore,
) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        one, other = await add_project(rows, top, "one"), await add_project(rows, top, "other")
    files = [
        await publish(store, one, "same.tar.gz", sha256="a" * 64),
        await publish(store, other, "same.tar.gz", sha256="b" * 64),
        await publish(store, other, "equal.tar.gz", sha256="c" * 64),
        await publish(store, one, "equal.tar.gz", sha256="c" * 64),
    ]
    async with store.reading() as reader:
        page = await reader.packages.page(everything_in(top), DEMO)
        assert page is not None
        assert [(line.file_id, line.project_id) for line in page.files] == [
            (files[number].id, files[number].project_id) for number in (0, 3, 1, 2)
        ]
        found = [
            await reader.packages.installable_file(everything_in(top), sha256=file.sha256, file_name=file.file_name)
            for file in files
        ]
    assert found == [files[0], files[1], files[2], files[2]], "of equal ones that of the highest package"


async def test_an_equal_file_is_served_from_the_project_that_may_be_pulled_from(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        shown = await rows.tenants.add_project(
            namespace=top,
            name="shown",
            path="shown",
            description="",
            visibility=Visibility.PUBLIC,
            registry_access=RegistryAccess.ENABLED,
            creator_id=None,
        )
        hidden = await add_project(rows, top, "hidden")
    low = await publish(store, shown, "same.tar.gz", sha256="a" * 64)
    high = await publish(store, hidden, "same.tar.gz", sha256="a" * 64)
    assert low.package_id < high.package_id
    for_all = GroupPull(group_id=top.id, open_visibilities=frozenset({Visibility.PUBLIC}), own=None)
    async with store.reading() as reader:
        assert await reader.packages.installable_file(for_all, sha256="a" * 64, file_name="same.tar.gz") == low
        page = await reader.packages.page(for_all, DEMO)
        assert page is not None
        assert [line.file_id for line in page.files] == [low.id]


async def test_a_page_of_a_group_is_empty_but_there_when_the_files_are_all_gone(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        project = await add_project(rows, top)
    file = await publish(store, project)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        await rows.packages.remove_file(file.id, source=PackageFileStatus.DEFAULT)
    async with store.reading() as reader:
        assert await reader.packages.page(everything_in(top), DEMO) == IndexedPage(UNMARKED, ())
        assert await reader.packages.page(everything_in(top), NormalizedName("never")) is None


async def test_a_deleted_project_has_left_its_group(store: SqlMetadataStore) -> None:
    """At once: its packages are doomed later, one by one."""
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        project = await add_project(rows, top)
    file = await publish(store, project)
    async with store.writing() as rows:
        assert await rows.tenant_changes.doom_project(project)
    source = everything_in(top)
    async with store.reading() as reader:
        assert await reader.packages.index(source) == ()
        assert await reader.packages.page(source, DEMO) is None
        assert await reader.packages.installable_file(source, sha256=file.sha256, file_name=file.file_name) is None
        assert await reader.packages.index(ProjectId(project.id)) != ()
