"""Find packages by their ids, as the Packages API does. Source: contract, Packages 5.1 and 9."""

from datetime import datetime

from shared.errors import PreconditionFailed, RecordNotFound
from shared.models import Package, PackageId, PackageStatus, ProjectId
from shared.ports.metadata_store import Reading, Writing

DISPLAYABLE = frozenset({PackageStatus.DEFAULT, PackageStatus.ERROR, PackageStatus.DEPRECATED})
"""Statuses of packages that are listed without being asked for, and there for who asks by id.

Those that are hidden are only for installers.
"""


async def find_package(
    rows: Reading, project_id: ProjectId, package_id: PackageId, *, statuses: frozenset[PackageStatus] = DISPLAYABLE
) -> Package:
    """Return the project's package.

    Raises:
        RecordNotFound: the project has none of this id, or it is in another status.
    """
    return _in_place(await rows.packages.package(package_id), project_id, statuses)


async def lock_package(
    rows: Writing, project_id: ProjectId, package_id: PackageId, *, statuses: frozenset[PackageStatus] = DISPLAYABLE
) -> Package:
    """Return the project's package as it is now, locked until the transaction ends. Raises what `find_package` does."""
    return _in_place(await rows.packages.lock(package_id), project_id, statuses)


def check_unmodified(changed_at: datetime, since: datetime | None) -> None:
    """Let nobody act on what has changed since they looked at it.

    Args:
        since: the last instant at which the caller saw it as it is; None when the caller does not mind.

    Raises:
        PreconditionFailed: it was changed after that.
    """
    if since is not None and changed_at > since:
        raise PreconditionFailed


def _in_place(package: Package | None, project_id: ProjectId, statuses: frozenset[PackageStatus]) -> Package:
    if package is None or package.project_id != project_id or package.status not in statuses:
        raise RecordNotFound
    return package
