"""What may be looked for upstream: what the levels say, and which names were ever here."""

import pytest

from shared.metadata.store import SqlMetadataStore
from shared.models import ForwardingRule, Namespace, PackageFileStatus, Project
from shared.names import NormalizedName
from shared.ports.tenant_changes import ForwardingChoice, GroupChanges
from tests.contracts.metadata.sample_rows import (
    accept,
    add_group,
    add_project,
    add_user,
    doom,
    publish,
    refuse,
    upload,
)

NAME = NormalizedName("demo")
NOTHING = ForwardingRule(is_on=None, is_locked=False)


@pytest.fixture
async def tree(store: SqlMetadataStore) -> dict[str, Namespace]:
    """Give the groups `top`, `top/team`, `top/team/sub` and `other`, each with a project `app`."""
    async with store.writing() as rows:
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        groups = {"top": top, "team": team, "sub": await add_group(rows, "sub", parent=team)}
        groups["other"] = await add_group(rows, "other")
        for group in groups.values():
            await add_project(rows, group)
    return groups


async def project_of(store: SqlMetadataStore, group: Namespace) -> Project:
    async with store.reading() as rows:
        found = await rows.tenants.project_by_path(f"{group.full_path}/app")
    assert found is not None
    return found


async def places_that_had(store: SqlMetadataStore, tree: dict[str, Namespace]) -> list[str]:
    async with store.reading() as rows:
        return [path for path, group in tree.items() if await rows.forwarding.was_below_group(group.id, NAME)]


async def was_in(store: SqlMetadataStore, project: Project, name: NormalizedName = NAME) -> bool:
    async with store.reading() as rows:
        return await rows.forwarding.was_in_project(project.id, name)


async def test_every_level_is_told_from_the_top_down(store: SqlMetadataStore, tree: dict[str, Namespace]) -> None:
    async with store.writing() as rows:
        sub = GroupChanges(forwarding=ForwardingChoice.OFF)
        await rows.tenant_changes.change_group(tree["sub"], sub)
        top = GroupChanges(forwarding=ForwardingChoice.ON, locks_forwarding=True)
        await rows.tenant_changes.change_group(tree["top"], top)
        user = await add_user(rows)
    on, off = ForwardingRule(is_on=True, is_locked=True), ForwardingRule(is_on=False, is_locked=False)

    async with store.reading() as reader:
        told = {path: await reader.forwarding.rules(group) for path, group in tree.items()}
        personal = await reader.tenants.namespace(user.namespace_id)
        assert personal is not None
        told["personal"] = await reader.forwarding.rules(personal)
    assert told == {
        "top": (on,),
        "team": (on, NOTHING),
        "sub": (on, NOTHING, off),
        "other": (NOTHING,),
        "personal": (NOTHING,),
    }


async def test_a_name_is_known_from_its_first_upload_on_where_it_is_and_above(
    store: SqlMetadataStore, tree: dict[str, Namespace]
) -> None:
    project, beside = await project_of(store, tree["team"]), await project_of(store, tree["sub"])
    assert await places_that_had(store, tree) == []

    file = await upload(store, project)
    assert await was_in(store, project)
    await accept(store, file)
    assert await was_in(store, project)
    assert await places_that_had(store, tree) == ["top", "team"]
    assert not await was_in(store, beside)
    assert not await was_in(store, project, NormalizedName("dem"))
    assert not await was_in(store, project, NormalizedName("Demo"))


async def test_what_was_deleted_stays_known(store: SqlMetadataStore, tree: dict[str, Namespace]) -> None:
    project = await project_of(store, tree["sub"])
    file = await publish(store, project)
    await doom(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.remove_file(file.id, source=PackageFileStatus.PENDING_DESTRUCTION)
        assert await rows.packages.remove_package_if_empty(file.package_id)
    assert await was_in(store, project)
    assert await places_that_had(store, tree) == ["top", "team", "sub"]

    async with store.writing() as rows:
        assert await rows.tenant_changes.doom_project(project)
    assert await places_that_had(store, tree) == ["top", "team", "sub"]

    async with store.writing() as rows:
        assert await rows.tenant_changes.doom_group(tree["team"])
    assert await places_that_had(store, tree) == ["top", "team", "sub"]


async def test_what_was_refused_was_never_here(store: SqlMetadataStore, tree: dict[str, Namespace]) -> None:
    project = await project_of(store, tree["sub"])
    file = await upload(store, project)
    await refuse(store, file)
    async with store.writing() as rows:
        await rows.packages.lock(file.package_id)
        assert await rows.packages.withdraw_file(file.id)
        assert await rows.packages.remove_package_if_empty(file.package_id)

    assert not await was_in(store, project)
    assert await places_that_had(store, tree) == []
