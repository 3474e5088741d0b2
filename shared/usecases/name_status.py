"""Say what a package name is to a project, and hold uploads to it (PEP 792)."""

from dataclasses import dataclass

from shared.errors import Forbidden, NotFound
from shared.names import NormalizedName
from shared.ports.metadata_store import MetadataStore, Reading, Writing
from shared.status_markers import StatusMarker, takes_uploads
from shared.usecases.package_audit import visitor_event
from shared.usecases.visits import Visit


@dataclass(frozen=True, slots=True)
class ShowNameStatus:
    """Tell what is said of a name."""

    store: MetadataStore

    async def __call__(self, visit: Visit, name: NormalizedName) -> StatusMarker:
        """Return it.

        Raises:
            NotFound: "Package": the project never had a package of this name.
        """
        async with self.store.reading() as rows:
            marker = await rows.package_names.marker(visit.project.id, name)
        if marker is None:
            raise NotFound("Package")
        return marker


@dataclass(frozen=True, slots=True)
class ChangeNameStatus:
    """Say something of a name: it holds for all its packages, those that come later too."""

    store: MetadataStore

    async def __call__(self, visit: Visit, name: NormalizedName, *, marker: StatusMarker) -> StatusMarker:
        """Return what is said of the name from now on.

        From then on no upload that a status forbids adds a file: those that are under way are waited for.

        Raises:
            NotFound: "Package": the project never had a package of this name.

        Idempotent: by name and marker.
        """
        async with self.store.writing() as rows:
            before = await rows.package_names.lock(visit.project.id, name)
            if before is None:
                raise NotFound("Package")
            if before == marker:
                return marker
            await rows.package_names.mark(visit.project.id, name, marker=marker)
            await rows.audit(
                visitor_event(
                    "package_name.status_changed",
                    visit,
                    target=f"package_name:{name}",
                    details={"name": name, "from": before.status, "to": marker.status, "reason": marker.reason},
                )
            )
        return marker


async def require_open_name(rows: Reading, visit: Visit, *, name: NormalizedName) -> None:
    """Let a publisher go on with an upload to this name, or say that its status forbids all.

    Raises:
        Forbidden: "Package is archived." or "Package is quarantined."
    """
    _require_open(await rows.package_names.marker(visit.project.id, name))


async def hold_open_name(rows: Writing, visit: Visit, *, name: NormalizedName) -> None:
    """Do as `require_open_name`, and see to it that the status stays so until this transaction ends.

    Raises:
        Forbidden: as `require_open_name`.
    """
    _require_open(await rows.package_names.hold(visit.project.id, name))


def _require_open(marker: StatusMarker | None) -> None:
    if marker is not None and not takes_uploads(marker):
        raise Forbidden(f"Package is {marker.status}.")
