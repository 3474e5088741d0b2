"""The links between packages, their files and the pipelines that built them, in SQL."""

from sqlalchemy import delete, exists, select

from shared.metadata.package_tables import build_links, packages
from shared.metadata.transaction import Transaction
from shared.models import CounterScope, PackageFileId, PackageId, PipelineId


async def add_links(
    transaction: Transaction, package_id: PackageId, *, file_id: PackageFileId, pipeline_id: PipelineId
) -> None:
    """Link the package, unless it is linked already, and this file of it to the pipeline. The package is locked."""
    transaction.require_lock(package_id)
    for linked_file_id in (None, file_id):
        await transaction.change(
            transaction.insert(build_links)
            .values(
                package_id=package_id,
                package_file_id=linked_file_id,
                pipeline_id=pipeline_id,
                created_at=transaction.now(),
            )
            .on_conflict_do_nothing()
        )
    row = await transaction.row(select(packages.c.project_id).where(packages.c.id == package_id))
    if row is not None:
        transaction.touch(CounterScope.PROJECT, row.project_id)


async def remove_links_of_file(transaction: Transaction, file_id: PackageFileId, *, was_published: bool) -> None:
    """Remove the file's own links. The package is locked.

    Its package's links stay, because it did come from these pipelines; but of a file that was never published nothing
    remains, so those go too to which no other file of the package is linked.
    """
    rows = await transaction.rows(
        delete(build_links)
        .where(build_links.c.package_file_id == file_id)
        .returning(build_links.c.package_id, build_links.c.pipeline_id)
    )
    for row in () if was_published else rows:
        is_it = (build_links.c.package_id == row.package_id) & (build_links.c.pipeline_id == row.pipeline_id)
        other = build_links.alias()
        has_file = exists().where(
            other.c.package_id == row.package_id,
            other.c.pipeline_id == row.pipeline_id,
            other.c.package_file_id.is_not(None),
        )
        await transaction.change(delete(build_links).where(is_it, build_links.c.package_file_id.is_(None), ~has_file))


async def remove_links_of_packages(transaction: Transaction, package_ids: list[PackageId]) -> None:
    """Remove all links of the packages."""
    await transaction.change(delete(build_links).where(build_links.c.package_id.in_(package_ids)))
