"""Set the status of a package: shown, hidden from lists, or deprecated."""

from dataclasses import dataclass

from shared.errors import Refused
from shared.models import INSTALLABLE, Package, PackageId, PackageStatus
from shared.ports.metadata_store import MetadataStore
from shared.ports.package_lists import ListedPackage
from shared.usecases.package_audit import visitor_event
from shared.usecases.package_lookup import lock_package
from shared.usecases.seen_pipelines import seen_pipelines
from shared.usecases.visits import Visit

_CHANGED_FROM = INSTALLABLE
_ASKED_FOR = INSTALLABLE | {PackageStatus.ERROR}


@dataclass(frozen=True, slots=True)
class ChangePackageStatus:
    """Move a package between `default`, `hidden` and `deprecated`; installers find it in all three."""

    store: MetadataStore

    async def __call__(self, visit: Visit, package_id: PackageId, *, status: PackageStatus) -> ListedPackage:
        """Return the package as it is now, and as lists show it.

        Args:
            status: one of the three.

        Raises:
            RecordNotFound: the project has no such package, it is being processed, or it is doomed.
            Refused: it is in `error`, which only a good file ends.

        Idempotent: by package and status.
        """
        package = await self._change(visit, package_id, status)
        async with self.store.reading() as rows:
            pipeline = await rows.package_lists.latest_pipeline(package_id)
            seen = await seen_pipelines(rows, visit.principal, (pipeline,), read_here=(visit.project.id,))
        return seen.of_package(ListedPackage(package, visit.project, pipeline))

    async def _change(self, visit: Visit, package_id: PackageId, status: PackageStatus) -> Package:
        async with self.store.writing() as rows:
            package = await lock_package(rows, visit.project.id, package_id, statuses=_ASKED_FOR)
            if package.status is status:
                return package
            changed = await rows.packages.change_status(package_id, source=_CHANGED_FROM, status=status)
            if changed is None:
                raise Refused(f"Status of a package in {package.status} cannot be changed")
            await rows.audit(
                visitor_event(
                    "package.status_changed",
                    visit,
                    target=f"package:{package_id}",
                    details={"name": package.name, "version": package.version, "from": package.status, "to": status},
                )
            )
        return changed
