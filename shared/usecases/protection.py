"""Hold callers to the package protection rules of a project, in the transaction that does what they want.

Source: app/services/packages/pypi/create_package_service.rb, lib/api/package_files.rb and
app/services/packages/mark_package_for_destruction_service.rb of GitLab.
"""

from shared.errors import Forbidden, PackageDeleteProtected
from shared.models import Package
from shared.ports.metadata_store import Reading, Writing
from shared.protection import is_delete_blocked, is_push_blocked
from shared.usecases.visits import Visit


async def require_unprotected_push(rows: Reading | Writing, visit: Visit, *, package_name: str) -> None:
    """Let a publisher upload to a package of this name, or say that a rule does not.

    Raises:
        Forbidden: "Package protected."
    """
    rules = await rows.protection_rules.of_project(visit.project.id)
    if is_push_blocked(rules, visit.principal, level=visit.level, package_name=package_name):
        raise Forbidden("Package protected.")


async def require_unprotected_delete(rows: Reading | Writing, visit: Visit, package: Package) -> None:
    """Let somebody who may delete packages delete this one, or say that a rule does not.

    Raises:
        PackageDeleteProtected: a rule keeps the caller from it.
    """
    if await _is_delete_protected(rows, visit, package):
        raise PackageDeleteProtected


async def require_unprotected_file_delete(rows: Reading | Writing, visit: Visit, package: Package) -> None:
    """Let somebody who may delete packages delete a file of this one, or say that a rule does not.

    Raises:
        Forbidden: "Package is deletion protected.", which of a file GitLab tells in another shape than of a package.
    """
    if await _is_delete_protected(rows, visit, package):
        raise Forbidden("Package is deletion protected.")


async def _is_delete_protected(rows: Reading | Writing, visit: Visit, package: Package) -> bool:
    if not visit.settings.packages_protected_packages_delete:
        return False
    rules = await rows.protection_rules.of_project(visit.project.id)
    return is_delete_blocked(rules, visit.principal, level=visit.level, package_name=package.name)
