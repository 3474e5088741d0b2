"""Yanked packages and files: installers take them only when they are told to take exactly these. Source: PEP 592."""

from dataclasses import dataclass
from datetime import datetime

from shared.models import Package, PackageFile


@dataclass(frozen=True, slots=True)
class Yank:
    """That something is yanked.

    Args:
        at: since when.
        reason: None when none was given.
    """

    at: datetime
    reason: str | None


def yank_of_package(package: Package) -> Yank | None:
    """Return the package's mark, or None when it is not yanked."""
    return None if package.yanked_at is None else Yank(package.yanked_at, package.yanked_reason)


def yank_of_file(file: PackageFile, package: Package) -> Yank | None:
    """Return what holds for a file of the package, or None: it is yanked when it or its package is.

    What was said of the file itself counts before what was said of its package, as on simple pages.
    """
    at = file.yanked_at or package.yanked_at
    if at is None:
        return None
    return Yank(at, package.yanked_reason if file.yanked_reason is None else file.yanked_reason)
