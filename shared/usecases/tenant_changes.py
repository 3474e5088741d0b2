"""Change and delete groups and projects."""

from dataclasses import dataclass, fields

from shared.errors import NotFound, RecordInvalid
from shared.models import InstanceSettings, Namespace, Project
from shared.ports.metadata_store import AuditEvent, MetadataStore
from shared.ports.tenant_changes import GroupChanges, ProjectChanges
from shared.principals import SignedIn

_CANNOT_MOVE = ("cannot be changed",)
_LOCKED: tuple[str, ...] = ("cannot be changed because it is locked by an ancestor",)


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Change a group's attributes; the caller was admitted as one who may."""

    store: MetadataStore

    async def __call__(
        self, caller: SignedIn, group: Namespace, changes: GroupChanges, *, path: str | None
    ) -> Namespace:
        """Return the group as it is now.

        Args:
            path: what its path shall be; groups are not renamed here, so it must be what it is.

        Raises:
            NotFound: "Group": it was deleted meanwhile.
            RecordInvalid: a rule forbids the change.

        Source: lib/api/groups.rb.
        """
        if path is not None and path != group.path:
            raise RecordInvalid({"path": _CANNOT_MOVE})
        async with self.store.writing() as rows:
            settings = await rows.settings.read(InstanceSettings())
            if settings.lock_pypi_package_requests_forwarding:
                _refuse_forwarding(changes)
            changed = await rows.tenant_changes.change_group(group, changes)
            if changed is None:
                raise NotFound("Group")
            await rows.audit(
                AuditEvent(
                    action="group.changed",
                    actor=f"user:{caller.user.id}",
                    target=f"group:{group.id}",
                    namespace_id=group.id,
                    token_id=caller.token_id,
                    details=_told(changes),
                )
            )
        return changed


@dataclass(frozen=True, slots=True)
class ChangeProject:
    """Change a project's attributes; the caller was admitted as one who may."""

    store: MetadataStore

    async def __call__(
        self, caller: SignedIn, project: Project, changes: ProjectChanges, *, path: str | None
    ) -> Project:
        """Return the project as it is now.

        Args:
            path: what its path shall be; projects are not renamed here, so it must be what it is.

        Raises:
            NotFound: "Project": it was deleted meanwhile.
            RecordInvalid: a rule forbids the change.

        Source: lib/api/projects.rb.
        """
        if path is not None and path != project.path:
            raise RecordInvalid({"path": _CANNOT_MOVE})
        async with self.store.writing() as rows:
            changed = await rows.tenant_changes.change_project(project, changes)
            if changed is None:
                raise NotFound("Project")
            await rows.audit(
                AuditEvent(
                    action="project.changed",
                    actor=f"user:{caller.user.id}",
                    target=f"project:{project.id}",
                    project_id=project.id,
                    namespace_id=project.namespace.id,
                    token_id=caller.token_id,
                    details=_told(changes),
                )
            )
        return changed


@dataclass(frozen=True, slots=True)
class DeleteGroup:
    """Delete a group with all that is below it: at once for everybody, from the disk by the worker's sweep."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, group: Namespace) -> None:
        """Mark it as deleted; its path is free at once.

        Raises:
            NotFound: "Group": it was deleted meanwhile.
        """
        async with self.store.writing() as rows:
            if not await rows.tenant_changes.doom_group(group):
                raise NotFound("Group")
            await rows.audit(
                AuditEvent(
                    action="group.deleted",
                    actor=f"user:{caller.user.id}",
                    target=f"group:{group.id}",
                    namespace_id=group.id,
                    token_id=caller.token_id,
                    details={"full_path": group.full_path},
                )
            )


@dataclass(frozen=True, slots=True)
class DeleteProject:
    """Delete a project: at once for everybody, its packages from the disk by the worker's sweep."""

    store: MetadataStore

    async def __call__(self, caller: SignedIn, project: Project) -> None:
        """Mark it as deleted; its path is free at once.

        Raises:
            NotFound: "Project": it was deleted meanwhile.
        """
        async with self.store.writing() as rows:
            if not await rows.tenant_changes.doom_project(project):
                raise NotFound("Project")
            await rows.audit(
                AuditEvent(
                    action="project.deleted",
                    actor=f"user:{caller.user.id}",
                    target=f"project:{project.id}",
                    project_id=project.id,
                    namespace_id=project.namespace.id,
                    token_id=caller.token_id,
                    details={"full_path": project.full_path},
                )
            )


def _refuse_forwarding(changes: GroupChanges) -> None:
    chosen = {
        "pypi_package_requests_forwarding": changes.forwarding,
        "lock_pypi_package_requests_forwarding": changes.locks_forwarding,
    }
    problems = {name: _LOCKED for name, choice in chosen.items() if choice is not None}
    if problems:
        raise RecordInvalid(problems)


def _told(changes: GroupChanges | ProjectChanges) -> dict[str, str | int | None]:
    """Return what was changed to what; of the description, only that it was."""
    found = {field.name: getattr(changes, field.name) for field in fields(changes)}
    return {name: "changed" if name == "description" else value for name, value in found.items() if value is not None}
