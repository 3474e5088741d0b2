"""Gather what a person wants to read about a package."""

import asyncio
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from shared.errors import DistributionRejected
from shared.metadata_headers import parse_fields
from shared.models import IndexedFile, Package, PackageId
from shared.ports.metadata_store import MetadataStore
from shared.status_markers import UNMARKED, StatusMarker
from shared.usecases.package_lists import DETAILED, ShowPackage
from shared.usecases.visits import Visit


@dataclass(frozen=True, slots=True)
class About:
    """What a distribution says of itself, as plain text that anybody may have written; None where it says nothing."""

    summary: str | None = None
    license: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class PackagePage:
    """A package with its files and its other versions.

    Args:
        marker: what is said of its name.
        files: those that can be installed, the first one that came first.
        versions: the others of its name that have a page, newest first.
        about: of the first file whose core metadata is stored.
    """

    package: Package
    marker: StatusMarker
    files: tuple[IndexedFile, ...]
    versions: tuple[Package, ...]
    about: About


@dataclass(frozen=True, slots=True)
class DescribePackage:
    """Gather the page of a package."""

    store: MetadataStore
    show: ShowPackage

    async def __call__(self, visit: Visit, package_id: PackageId) -> PackagePage:
        """Return the page.

        Raises: what `ShowPackage` raises.
        """
        detail = await self.show(visit, package_id)
        package, raw = detail.package.package, None
        async with self.store.reading() as rows:
            shown = await rows.packages.page(visit.project.id, package.normalized_name)
            files = tuple(line for line in (shown.files if shown else ()) if line.package_id == package.id)
            telling = next((file for file in files if file.metadata_sha256 is not None), None)
            if telling is not None:
                raw = await rows.packages.core_metadata(telling.file_id)
        others = [one.package for one in detail.versions if one.package.status in DETAILED]
        return PackagePage(
            package=package,
            marker=shown.marker if shown else UNMARKED,
            files=files,
            versions=tuple(sorted(others, key=_precedence, reverse=True)),
            about=About() if raw is None else await asyncio.to_thread(_read_about, raw),
        )


def _read_about(raw: bytes) -> About:
    try:
        fields, _ = parse_fields(raw)
    except DistributionRejected:
        return About()  # It is here from before such metadata was refused.
    return About(
        summary=fields.get("summary"),
        license=fields.get("license_expression"),
        description=fields.get("description"),
    )


def _precedence(package: Package) -> tuple[bool, Version, int]:
    try:
        return True, Version(package.version), package.id
    except InvalidVersion:
        return False, Version("0"), package.id
