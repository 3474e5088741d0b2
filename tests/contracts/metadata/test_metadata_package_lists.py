"""Lists of packages, their files and their pipelines: PackageLists."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from shared.access import PullRules, may_read_packages_api
from shared.metadata.store import SqlMetadataStore, SqlReading
from shared.models import (
    AccessLevel,
    Package,
    PackageFileStatus,
    PackageId,
    PackageStatus,
    Project,
    RegistryAccess,
    TokenId,
    User,
    Visibility,
)
from shared.pages import Cursor, Page, PageRequest
from shared.ports.package_lists import GroupSource, ListedPackage, PackageFileOrder, PackageFilter, PackageOrder
from shared.ports.tenant_lists import Viewer
from shared.principals import Anonymous, Principal, SignedIn
from tests.contracts.metadata.sample_rows import add_group, add_project, add_user, new_project
from tests.stored_packages import Stored, link_file, store_packages, store_pipeline, versions

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALL = PageRequest(number=1, size=100)
SHOWN = frozenset({PackageStatus.DEFAULT, PackageStatus.ERROR, PackageStatus.DEPRECATED})
EVERYTHING = Viewer(user_id=None, sees_internal=True, sees_all=True, now=NOW)
NOBODY = Viewer(user_id=None, sees_internal=False, sees_all=False, now=NOW)
DEFAULT = PackageFileStatus.DEFAULT


def listed(page: Page[ListedPackage]) -> list[str]:
    return [f"{one.package.name} {one.package.version}" for one in page.entries]


async def of_project(store: SqlMetadataStore, project: Project, **wanted: Any) -> list[str]:
    async with store.reading() as reader:
        return listed(
            await reader.package_lists.of_project(project, PackageFilter(**{"statuses": SHOWN, **wanted}), ALL)
        )


async def of_group(
    store: SqlMetadataStore,
    project: Project,
    *,
    viewer: Viewer = EVERYTHING,
    includes_subgroups: bool = True,
    lowest_level: AccessLevel = AccessLevel.GUEST,
    **wanted: Any,
) -> list[str]:
    source = GroupSource(project.namespace.id, includes_subgroups, viewer, lowest_level)
    async with store.reading() as reader:
        return listed(await reader.package_lists.of_group(source, PackageFilter(**{"statuses": SHOWN, **wanted}), ALL))


async def test_packages_are_sorted_as_text_and_equal_ones_by_id(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    stored = [
        Stored("b", "10.0", age_seconds=5),
        Stored("B", "9.0", age_seconds=9),
        Stored("a", "1.0", age_seconds=5),
        Stored("b", "2.0", age_seconds=1),
    ]
    await store_packages(database_url, project, stored)
    for order, expected in (
        (PackageOrder.CREATED_AT, ["b 2.0", "b 10.0", "a 1.0", "B 9.0"]),
        (PackageOrder.NAME, ["B 9.0", "a 1.0", "b 10.0", "b 2.0"]),
        (PackageOrder.VERSION, ["a 1.0", "b 10.0", "b 2.0", "B 9.0"]),
        (PackageOrder.TYPE, ["b 10.0", "B 9.0", "a 1.0", "b 2.0"]),
    ):
        assert await of_project(store, project, order=order) == expected
        assert await of_project(store, project, order=order, is_descending=True) == expected[::-1]
        assert await of_group(store, project, order=order) == expected
        assert await of_group(store, project, order=order, is_descending=True) == expected[::-1]
        assert await of_project(store, project, order=order, version="2.0") == ["b 2.0"]
        assert await of_project(store, project, order=order, words=("b",)) == [
            one for one in expected if one[0] in "bB"
        ]
        assert await of_group(store, project, order=order, words=("B",), statuses=SHOWN) == [
            one for one in expected if one[0] in "bB"
        ]


async def test_only_packages_in_the_wanted_statuses_are_listed(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    await store_packages(database_url, project, [Stored(status, status=status) for status in PackageStatus])
    for statuses in (SHOWN, *(frozenset({status}) for status in PackageStatus)):
        expected = [f"{status} 1.0" for status in PackageStatus if status in statuses]
        assert await of_project(store, project, statuses=statuses) == expected
        assert await of_group(store, project, statuses=statuses) == expected
        assert await of_project(store, project, statuses=statuses, words=("e",)) == expected


WORDS: tuple[tuple[tuple[str, ...], list[str]], ...] = (
    (("req",), ["Requests_HTML", "requests", "requests-html", "my.requests"]),
    (("REQUESTS",), ["Requests_HTML", "requests", "requests-html", "my.requests"]),
    (("html", "quest"), ["Requests_HTML", "requests-html"]),
    (("s_h",), ["Requests_HTML"]),
    (("s-h",), ["requests-html"]),
    (("y.r",), ["my.requests"]),
    (("_",), ["Requests_HTML", "a__b"]),
    (("__",), ["a__b"]),
    (("a__b",), ["a__b"]),
    (("%",), []),
    (("r%s",), []),
    (("r_quests",), []),
    (("\\",), []),
    (("/",), []),
    (("'",), []),
    (("\0",), []),
    (("\udc80",), []),
    (("\u212a",), []),  # the sign for kelvin, whose lower case is a plain k
    (("q" * 5000,), []),
    (("r", "e", "q", "u", "x"), []),
)


async def test_every_word_must_stand_in_the_name_as_it_is_spelt(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    names = ["Requests_HTML", "requests", "requests-html", "my.requests", "a__b", "kay"]
    stored = [Stored(name, f"{number}.0") for number, name in enumerate(names)]
    await store_packages(database_url, project, stored)
    await store_packages(database_url, await new_project(store, "other"), stored)
    for words, expected in WORDS:
        found = [f"{name} {names.index(name)}.0" for name in expected]
        assert await of_project(store, project, words=words) == found, words
        assert await of_group(store, project, words=words) == found, words


async def test_words_that_many_names_hold_find_them_all(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    stored = [Stored(f"name_{number:03}") for number in range(250)] + [Stored("other")]
    await store_packages(database_url, project, stored)
    async with store.reading() as reader:
        wanted = PackageFilter(SHOWN, words=("NAME_",), order=PackageOrder.NAME)
        page = await reader.package_lists.of_project(project, wanted, PageRequest(3, 100))
    assert (page.total, page.has_more) == (250, False)
    assert listed(page) == [f"name_{number} 1.0" for number in range(200, 250)]
    assert await of_project(store, project, words=("name-",)) == []
    assert len(await of_group(store, project, words=("name_",))) == 100


async def test_more_than_ten_thousand_packages_are_not_counted(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    source = GroupSource(project.namespace.id, False, EVERYTHING, AccessLevel.GUEST)
    for more, total in ((versions(10_000), 10_000), ([Stored("demo", "one.more")], None)):
        await store_packages(database_url, project, more)
        async with store.reading() as reader:
            for words in ((), ("emo",)):
                wanted = PackageFilter(SHOWN, words=words)
                for page in (
                    await reader.package_lists.of_project(project, wanted, PageRequest(1, 20)),
                    await reader.package_lists.of_group(source, wanted, PageRequest(1, 20)),
                ):
                    assert (page.total, page.has_more, len(page.entries)) == (total, True, 20)


async def test_pages_do_not_overlap_and_end(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    await store_packages(database_url, project, [Stored(version=f"{number}.0", age_seconds=0) for number in range(45)])
    found: list[str] = []
    async with store.reading() as reader:
        for number in (1, 2, 3, 4):
            page = await reader.package_lists.of_project(project, PackageFilter(SHOWN), PageRequest(number, 20))
            assert (page.total, page.has_more) == (45, number < 3)
            found += listed(page)
    assert found == [f"demo {number}.0" for number in range(45)]


async def test_a_group_lists_its_projects_packages_by_their_paths(store: SqlMetadataStore, database_url: str) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        sub = await add_group(rows, "sub", parent=top)
        other = await add_group(rows, "top-of-others")
        direct = await add_project(rows, top, "m-path", name="A")
        deep = await add_project(rows, sub, "a-path", name="Z")
        twin = await add_project(rows, sub, "m-path", name="M")
        outside = await add_project(rows, other, "b-path")
        gone = await add_project(rows, top, "gone")
    for project, names in ((direct, "ab"), (deep, "cd"), (twin, "e"), (outside, "x"), (gone, "y")):
        await store_packages(database_url, project, [Stored(name) for name in names])
    async with store.writing() as rows:
        await rows.tenant_changes.doom_project(gone)
    by_path: dict[str, Any] = {"order": PackageOrder.PROJECT_PATH}
    assert await of_group(store, direct, **by_path) == ["d 1.0", "c 1.0", "e 1.0", "b 1.0", "a 1.0"]
    assert await of_group(store, direct, **by_path, is_descending=True) == [
        "e 1.0",
        "b 1.0",
        "a 1.0",
        "d 1.0",
        "c 1.0",
    ]
    assert await of_group(store, direct, **by_path, words=("d",)) == ["d 1.0"]
    assert await of_group(store, direct, **by_path, version="1.0", words=("e",)) == ["e 1.0"]
    assert await of_group(store, direct, order=PackageOrder.NAME, includes_subgroups=False) == ["a 1.0", "b 1.0"]
    assert await of_group(store, deep, order=PackageOrder.NAME) == ["c 1.0", "d 1.0", "e 1.0"]
    source = GroupSource(top.id, True, EVERYTHING, AccessLevel.GUEST)
    async with store.reading() as reader:
        page = await reader.package_lists.of_group(source, PackageFilter(SHOWN, order=PackageOrder.NAME), ALL)
    assert [one.project.full_path for one in page.entries] == ["top/m-path"] * 2 + ["top/sub/a-path"] * 2 + [
        "top/sub/m-path"
    ]


@pytest.mark.parametrize("guests_may_pull", [True, False])
async def test_a_group_lists_what_the_access_rules_let_be_read(
    store: SqlMetadataStore, database_url: str, *, guests_may_pull: bool
) -> None:
    """Every kind of caller against every kind of project: the query and the function say the same."""
    rules = PullRules(guests_may_pull=guests_may_pull, anyone_may_pull=True)
    async with store.writing() as rows:
        top = await rows.tenants.add_group(
            parent=None, name="top", path="top", description="", visibility=Visibility.PUBLIC
        )
        sub = await add_group(rows, "sub", parent=top)
        projects = [
            await rows.tenants.add_project(
                namespace=namespace,
                name=f"{visibility}-{access}",
                path=f"{visibility}-{access}",
                description="",
                visibility=visibility,
                registry_access=access,
                creator_id=None,
            )
            for namespace in (top, sub)
            for visibility in Visibility
            for access in RegistryAccess
        ]
        users: list[User] = [await add_user(rows, "stranger")]
        for name, is_admin, is_external in (("boss", True, False), ("guest-from-outside", False, True)):
            users.append(
                await rows.tenants.add_user(
                    username=name, name=name, email=f"{name}@x", is_admin=is_admin, is_external=is_external
                )
            )
        for project in projects:
            await rows.tenants.add_project_member(project, users[-1].id, level=AccessLevel.GUEST, expires_at=None)
        for level in (AccessLevel.MINIMAL, AccessLevel.GUEST, AccessLevel.REPORTER, AccessLevel.MAINTAINER):
            users.append(user := await add_user(rows, f"of-top-{level}"))
            await rows.tenants.add_namespace_member(top, user.id, level=level, expires_at=None)
            users.append(user := await add_user(rows, f"of-sub-{level}"))
            await rows.tenants.add_namespace_member(sub, user.id, level=level, expires_at=None)
            users.append(user := await add_user(rows, f"of-one-{level}"))
            await rows.tenants.add_project_member(projects[0], user.id, level=level, expires_at=None)
        users.append(late := await add_user(rows, "late"))
        await rows.tenants.add_namespace_member(top, late.id, level=AccessLevel.OWNER, expires_at=NOW)
    for project in projects:
        await store_packages(database_url, project, [Stored("demo", "1.0")])
    async with store.reading() as reader:
        for user_or_nobody in (None, *users):
            viewer = viewer_of(user_or_nobody)
            source = GroupSource(top.id, True, viewer, rules.lowest_level)
            page = await reader.package_lists.of_group(source, PackageFilter(SHOWN, order=PackageOrder.TYPE), ALL)
            levels = {project.id: await level_in(reader, user_or_nobody, project) for project in projects}
            caller = principal(user_or_nobody)
            assert [one.project for one in page.entries] == [
                project for project in projects if may_read_packages_api(caller, project, levels[project.id], rules)
            ], user_or_nobody
            kept = await reader.package_lists.with_level(levels, viewer, AccessLevel.MAINTAINER)
            assert kept == {one for one, level in levels.items() if viewer.sees_all or level >= AccessLevel.MAINTAINER}


def viewer_of(user: User | None) -> Viewer:
    if user is None:
        return NOBODY
    return Viewer(user_id=user.id, sees_internal=not user.is_external, sees_all=user.is_admin, now=NOW)


def principal(user: User | None) -> Principal:
    return Anonymous() if user is None else SignedIn(user=user, token_id=TokenId(1), scopes=())


async def level_in(rows: SqlReading, user: User | None, project: Project) -> AccessLevel:
    if user is None:
        return AccessLevel.NO_ACCESS
    return await rows.tenants.level_in_project(user.id, project, now=NOW)


async def test_the_other_versions_stand_by_their_text(store: SqlMetadataStore, database_url: str) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    stored = [
        Stored("Demo_App", "9.0"),
        Stored("demo-app", "10.0"),
        Stored("demo.app", "1.0", PackageStatus.ERROR),
        Stored("demo.app", "2.0", PackageStatus.HIDDEN),
        Stored("demo.app", "3.0", PackageStatus.PENDING_DESTRUCTION),
        Stored("demo.app", "4.0", PackageStatus.DEPRECATED),
        Stored("demo-apps", "5.0"),
    ]
    ids = await store_packages(database_url, project, stored)
    await store_packages(database_url, other, stored)
    await store_pipeline(database_url, other, 70, of_packages=ids[1:2])
    async with store.reading() as reader:
        package = await package_of(reader, ids[0])
        found = await reader.package_lists.versions(package, project, statuses=SHOWN)
    assert [one.package.version for one in found] == ["1.0", "10.0", "4.0"]
    assert [one.pipeline.number if one.pipeline else None for one in found] == [None, 70, None]
    assert {one.project for one in found} == {project}


async def package_of(rows: SqlReading, package_id: PackageId) -> Package:
    package = await rows.packages.package(package_id)
    assert package is not None
    return package


async def test_files_are_listed_with_the_pipelines_that_built_them(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    waiting, failed, doomed = (
        (f"{status}.whl", status)
        for status in (PackageFileStatus.PROCESSING, PackageFileStatus.ERROR, PackageFileStatus.PENDING_DESTRUCTION)
    )
    files = (("c.whl", DEFAULT), waiting, ("a.whl", DEFAULT), failed, ("b.whl", DEFAULT), doomed)
    (package_id, _) = await store_packages(
        database_url, project, [Stored(files=files), Stored("other", files=(("d.whl", DEFAULT),))]
    )

    async def names(order: PackageFileOrder, *, is_descending: bool) -> list[str]:
        async with store.reading() as reader:
            page = await reader.package_lists.files(
                package_id, ALL, status=DEFAULT, order=order, is_descending=is_descending
            )
        return [one.file.file_name for one in page.entries]

    for order, expected in (
        (PackageFileOrder.ID, ["c.whl", "a.whl", "b.whl"]),
        (PackageFileOrder.CREATED_AT, ["b.whl", "a.whl", "c.whl"]),
        (PackageFileOrder.FILE_NAME, ["a.whl", "b.whl", "c.whl"]),
    ):
        assert await names(order, is_descending=False) == expected
        assert await names(order, is_descending=True) == expected[::-1]

    async with store.reading() as reader:
        page = await reader.package_lists.files(
            package_id, PageRequest(1, 2), status=DEFAULT, order=PackageFileOrder.ID, is_descending=False
        )
    assert (page.total, page.has_more) == (3, True)
    first = page.entries[0].file
    for number in (5, 4):
        pipeline = await store_pipeline(database_url, project, number, of_packages=[package_id])
        await link_file(database_url, package_id, first.id, pipeline)
    async with store.reading() as reader:
        page = await reader.package_lists.files(
            package_id, ALL, status=DEFAULT, order=PackageFileOrder.ID, is_descending=False
        )
    assert [[pipeline.number for pipeline in one.pipelines] for one in page.entries] == [[5, 4], [], []]


async def test_pipelines_are_followed_from_the_newest_link_on(store: SqlMetadataStore, database_url: str) -> None:
    project = await new_project(store)
    async with store.writing() as rows:
        ada = await add_user(rows)
    package_id, other_id = await store_packages(
        database_url, project, [Stored(files=(("a.whl", DEFAULT),)), Stored("other")]
    )
    async with store.reading() as reader:
        assert (await reader.package_lists.pipelines(package_id, cursor=None, limit=2)).entries == ()
        assert await reader.package_lists.latest_pipeline(package_id) is None
        (file,) = (
            await reader.package_lists.files(
                package_id, ALL, status=DEFAULT, order=PackageFileOrder.ID, is_descending=False
            )
        ).entries
    for number in (30, 10, 20, 50, 40):
        pipeline = await store_pipeline(
            database_url, project, number, user_id=ada.id, of_packages=[other_id, package_id]
        )
        await link_file(database_url, package_id, file.file.id, pipeline)
    async with store.reading() as reader:

        async def numbers(cursor: Cursor | None, limit: int) -> tuple[list[int], Cursor | None]:
            found = await reader.package_lists.pipelines(package_id, cursor=cursor, limit=limit)
            return [one.number for one in found.entries], found.next

        first, cursor = await numbers(None, 2)
        second, further = await numbers(cursor, 2)
        third, end = await numbers(further, 2)
        assert [first, second, third] == [[40, 50], [20, 10], [30]]
        assert end is None
        assert cursor is not None
        assert further is not None
        assert await numbers(None, 5) == ([40, 50, 20, 10, 30], None)
        back = Cursor(further.id, is_backward=True)
        assert await numbers(back, 2) == ([50, 20], Cursor(further.id + (cursor.id - further.id) // 2))
        assert await numbers(Cursor(2**63 - 1, is_backward=True), 2) == ([], None)
        assert await numbers(Cursor(1), 2) == ([], None)
        latest = await reader.package_lists.latest_pipeline(package_id)
        page = await reader.package_lists.of_project(project, PackageFilter(SHOWN), ALL)
    assert latest is not None
    assert (latest.number, latest.user) == (40, ada)
    assert [one.pipeline for one in page.entries] == [latest, latest]


@pytest.mark.parametrize("size", [1, 40])
async def test_a_list_takes_as_many_queries_however_long_it_is(
    store: SqlMetadataStore, database_url: str, engine: str, size: int
) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        team = await add_group(rows, "team")
        await rows.tenants.add_namespace_member(team, ada.id, level=AccessLevel.GUEST, expires_at=None)
        projects = [
            await add_project(rows, await add_group(rows, f"sub{number}", parent=team)) for number in range(size)
        ]
    for project in projects:
        await store_packages(database_url, project, versions(2))
    viewer = Viewer(user_id=ada.id, sees_internal=True, sees_all=False, now=NOW)
    source = GroupSource(team.id, True, viewer, AccessLevel.GUEST)
    queries: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        queries.append(statement)

    async with store.reading() as reader:
        connection = reader._transaction.connection.sync_connection
        event.listen(connection, "before_cursor_execute", note)
        page = await reader.package_lists.of_group(source, PackageFilter(SHOWN, words=("dem",)), ALL)
        await reader.package_lists.with_level({one.project.id for one in page.entries}, viewer, AccessLevel.MAINTAINER)
        event.remove(connection, "before_cursor_execute", note)
    assert page.total == 2 * size
    # PostgreSQL is told to plan them for their values, and looks for a word twice: in a few names, and off its index.
    assert len(queries) == (8 if engine == "postgresql" else 6)
