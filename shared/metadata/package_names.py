"""The names that a project has had, in SQL: what was published once is ours for ever."""

from sqlalchemy import delete, exists, func, literal, select

from shared.metadata.package_tables import package_names, packages
from shared.metadata.transaction import Transaction
from shared.models import PackageId, ProjectId
from shared.names import NormalizedName

_ACTIVE = "active"


async def note_name(transaction: Transaction, project_id: ProjectId, name: NormalizedName) -> None:
    """Add the row of a name that a package has, if there is none."""
    await transaction.change(
        transaction.insert(package_names)
        .values(project_id=project_id, normalized_name=name, status=_ACTIVE)
        .on_conflict_do_nothing()
    )


async def note_accepted_name(transaction: Transaction, package_id: PackageId) -> None:
    """Make the name of the package stay for ever: from now on it was ours.

    The row may be gone: on PostgreSQL `forget_unpublished_name` does not see a package that is being added meanwhile.
    """
    now = literal(transaction.now(), package_names.c.first_accepted_at.type)
    package = select(packages.c.project_id, packages.c.normalized_name, literal(_ACTIVE), now)
    await transaction.change(
        transaction.insert(package_names)
        .from_select(
            ["project_id", "normalized_name", "status", "first_accepted_at"], package.where(packages.c.id == package_id)
        )
        .on_conflict_do_update(
            index_elements=["project_id", "normalized_name"],
            set_={"first_accepted_at": func.coalesce(package_names.c.first_accepted_at, now)},
        )
    )


async def forget_unpublished_name(transaction: Transaction, project_id: ProjectId, name: NormalizedName) -> None:
    """Remove the row of a name of which no file was ever accepted and no package is left."""
    has_package = exists().where(packages.c.project_id == project_id, packages.c.normalized_name == name)
    await transaction.change(
        delete(package_names).where(
            package_names.c.project_id == project_id,
            package_names.c.normalized_name == name,
            package_names.c.first_accepted_at.is_(None),
            ~has_package,
        )
    )
