"""Changes and deletions of groups and projects: TenantChanges."""

import asyncio

import pytest

from shared.errors import RecordInvalid
from shared.metadata.store import SqlMetadataStore
from shared.models import (
    AccessLevel,
    CounterScope,
    NamespaceId,
    PackageFileStatus,
    PackageStatus,
    ProjectId,
    RegistryAccess,
    Visibility,
)
from shared.ports.tenant_changes import ForwardingChoice, GroupChanges, ProjectChanges
from tests.contracts.metadata.sample_rows import (
    LATER,
    add_group,
    add_project,
    add_user,
    file_as_it_is,
    new_project,
    package_of,
    publish,
    upload,
)
from tests.contracts.metadata.test_metadata_lists import open_group, open_project

NOTHING_LOCKED = "cannot be changed because it is locked by an ancestor"


async def test_a_group_is_changed_where_it_is_told_and_nowhere_else(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        group = await open_group(rows, "team", Visibility.PUBLIC)
        changes = GroupChanges(name="The team", forwarding=ForwardingChoice.ON, locks_forwarding=True)
        changed = await rows.tenant_changes.change_group(group, changes)
        assert changed is not None
        assert (changed.name, changed.path, changed.visibility) == ("The team", "team", Visibility.PUBLIC)
        assert (changed.pypi_package_requests_forwarding, changed.lock_pypi_package_requests_forwarding) == (True, True)
        assert await rows.tenant_changes.change_group(changed, GroupChanges()) == changed
        again = await rows.tenant_changes.change_group(
            changed, GroupChanges(description="", forwarding=ForwardingChoice.INHERIT, visibility=Visibility.PRIVATE)
        )
        assert again is not None
        assert (again.pypi_package_requests_forwarding, again.visibility) == (None, Visibility.PRIVATE)
    async with store.reading() as rows:
        assert await rows.tenants.namespace(group.id) == again


async def test_a_group_is_never_less_visible_than_what_it_holds_nor_more_than_what_holds_it(
    store: SqlMetadataStore,
) -> None:
    async with store.writing() as rows:
        top = await open_group(rows, "top", Visibility.PUBLIC)
        team = await open_group(rows, "team", Visibility.INTERNAL, parent=top)
        for group, wanted, sentence in (
            (top, Visibility.PRIVATE, "private is not allowed since there are sub-groups with higher visibility."),
            (
                team,
                Visibility.PUBLIC,
                "public is not allowed since the parent group has a internal visibility.",
            ),
        ):
            if group is team:
                changed = await rows.tenant_changes.change_group(top, GroupChanges(visibility=Visibility.INTERNAL))
                assert changed is not None
            with pytest.raises(RecordInvalid) as refused:
                await rows.tenant_changes.change_group(group, GroupChanges(visibility=wanted))
            assert refused.value.messages == {"visibility_level": (sentence,)}
        await open_project(rows, team, "app", Visibility.INTERNAL)
        with pytest.raises(RecordInvalid) as refused:
            await rows.tenant_changes.change_group(team, GroupChanges(visibility=Visibility.PRIVATE))
    sentence = "private is not allowed since this group contains projects with higher visibility."
    assert refused.value.messages == {"visibility_level": (sentence,)}


async def test_forwarding_that_is_locked_above_cannot_be_chosen_below(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=await add_group(rows, "middle", parent=top))
        await rows.tenant_changes.change_group(top, GroupChanges(locks_forwarding=True))
        with pytest.raises(RecordInvalid) as refused:
            await rows.tenant_changes.change_group(team, GroupChanges(forwarding=ForwardingChoice.ON))
        assert await rows.tenant_changes.change_group(team, GroupChanges(name="other")) is not None
    assert refused.value.messages == {"pypi_package_requests_forwarding": (NOTHING_LOCKED,)}


async def test_a_project_is_changed_under_the_rules_that_it_was_added_under(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        team = await open_group(rows, "team", Visibility.INTERNAL)
        project = await add_project(rows, team, "app")
        await add_project(rows, team, "other", name="Other")
        changes = ProjectChanges(
            name="App",
            description="it",
            visibility=Visibility.INTERNAL,
            registry_access=RegistryAccess.DISABLED,
        )
        changed = await rows.tenant_changes.change_project(project, changes)
        assert changed is not None
        assert (changed.name, changed.description, changed.path) == ("App", "it", "app")
        assert (changed.visibility, changed.registry_access) == (Visibility.INTERNAL, RegistryAccess.DISABLED)
        assert await rows.tenant_changes.change_project(changed, ProjectChanges(name="App")) == changed
        for refused_changes, attribute in (
            (ProjectChanges(name="Other"), "name"),
            (ProjectChanges(visibility=Visibility.PUBLIC), "visibility_level"),
        ):
            with pytest.raises(RecordInvalid) as refused:
                await rows.tenant_changes.change_project(project, refused_changes)
            assert list(refused.value.messages) == [attribute]


async def test_nothing_is_added_to_a_group_whose_visibility_has_just_changed(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        team = await open_group(rows, "team", Visibility.PUBLIC)
    async with store.writing() as rows:
        await rows.tenant_changes.change_group(team, GroupChanges(visibility=Visibility.PRIVATE))
    async with store.writing() as rows:
        with pytest.raises(RecordInvalid):
            await open_project(rows, team, "app", Visibility.PUBLIC)
        with pytest.raises(RecordInvalid):
            await open_group(rows, "sub", Visibility.PUBLIC, parent=team)


async def test_a_deleted_group_is_gone_with_all_below_it_and_its_paths_are_free(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        deep = await add_group(rows, "deep", parent=team)
        project = await add_project(rows, deep, "app")
        beside = await add_project(rows, top, "beside")
        for source in (team, project):
            await rows.members.add(source, ada.id, level=AccessLevel.OWNER, expires_at=None, creator_id=ada.id)
    async with store.writing() as rows:
        assert await rows.tenant_changes.doom_group(team)
        assert not await rows.tenant_changes.doom_group(team)
        assert rows._transaction.touched == {(CounterScope.NAMESPACE, top.id)}
    async with store.writing() as rows:
        for namespace_id in (team.id, deep.id):
            assert await rows.tenants.namespace(namespace_id) is None
        assert await rows.tenants.project(project.id) is None
        assert await rows.tenants.project_by_path("top/team/deep/app") is None
        assert await rows.tenants.project(beside.id) == beside
        assert await rows.tenants.namespace(top.id) == top
        for source in (team, project):
            assert not await rows.members.lock(source)
        with pytest.raises(RecordInvalid):
            await add_project(rows, deep, "late")
        with pytest.raises(RecordInvalid):
            await add_group(rows, "late", parent=team)
        assert await rows.tenant_changes.change_group(deep, GroupChanges(name="late")) is None
        assert await rows.tenant_changes.change_project(project, ProjectChanges(name="late")) is None
        again = await add_group(rows, "team", parent=top)
        assert again.id > deep.id
    async with store.reading() as rows:
        assert not await rows.tenant_lists.is_member_below(top, ada.id, now=LATER)
        assert await rows.tenants.level_in_project(ada.id, project, now=LATER) is AccessLevel.NO_ACCESS


async def test_what_is_added_while_its_group_is_deleted_goes_with_it_or_is_refused(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        teams = [await add_group(rows, f"team{number}", parent=top) for number in range(4)]
    added: list[tuple[NamespaceId | None, ProjectId | None]] = []

    async def add_below(number: int) -> None:
        try:
            async with store.writing() as rows:
                sub = await add_group(rows, "sub", parent=teams[number])
                added.append((sub.id, (await add_project(rows, sub)).id))
        except RecordInvalid:
            added.append((None, None))

    async def delete() -> None:
        async with store.writing() as rows:
            assert await rows.tenant_changes.doom_group(top)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(add_below(number))
            if number == 1:
                group.create_task(delete())
    async with store.reading() as reader:
        for namespace_id, project_id in added:
            if namespace_id is not None and project_id is not None:
                assert await reader.tenants.namespace(namespace_id) is None
                assert await reader.tenants.project(project_id) is None
    assert len(added) == 4


async def test_a_deleted_projects_packages_are_doomed_in_portions_and_no_others(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    files = [await publish(store, project, f"demo-{number}.tar.gz", version=str(number)) for number in range(1, 4)]
    files.append(await upload(store, project, "late-1.tar.gz", name="late"))
    kept = await publish(store, other)
    async with store.writing() as rows:
        assert await rows.tenant_changes.doom_stranded_packages(limit=9) == 0
        assert await rows.tenant_changes.doom_project(project)
        assert not await rows.tenant_changes.doom_project(project)
        assert rows._transaction.touched == {
            (CounterScope.NAMESPACE, project.namespace.id),
            (CounterScope.PROJECT, project.id),
        }
    for doomed in (3, 1, 0):
        async with store.writing() as rows:
            assert await rows.tenant_changes.doom_stranded_packages(limit=3) == doomed
    for file in files:
        assert (await package_of(store, file)).status is PackageStatus.PENDING_DESTRUCTION
        assert (await file_as_it_is(store, file)).status is PackageFileStatus.PENDING_DESTRUCTION
    assert (await package_of(store, kept)).status is PackageStatus.DEFAULT
    async with store.reading() as rows:
        assert len(await rows.packages.doomed(doomed_before=LATER, now=LATER, limit=9)) == 4


async def test_changes_count_for_the_namespace_and_the_project_and_only_when_there_are_any(
    store: SqlMetadataStore,
) -> None:
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        project = await add_project(rows, team)
    own = (CounterScope.NAMESPACE, top.id)
    async with store.writing() as rows:
        await rows.tenant_changes.change_group(team, GroupChanges())
        await rows.tenant_changes.change_project(project, ProjectChanges())
        assert rows._transaction.touched == set()
        await rows.tenant_changes.change_group(team, GroupChanges(description="x"))
        assert rows._transaction.touched == {own}
        await rows.tenant_changes.change_project(project, ProjectChanges(description="x"))
        assert rows._transaction.touched == {own, (CounterScope.PROJECT, project.id)}
