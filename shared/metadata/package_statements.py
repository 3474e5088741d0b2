"""The statements that every upload and verdict needs, made once.

To make a statement costs SQLAlchemy several times what it takes to carry it out; one that is there already is known to
it with its text. What each carries out stands where it is used, in `package_writes`.
"""

from sqlalchemy import bindparam, case, insert, literal, select, text, update

from shared.metadata.package_leases import held_by
from shared.metadata.package_reads import FILE_COLUMNS, PACKAGE_COLUMNS, PACKAGE_TYPE, written_out
from shared.metadata.package_tables import package_file_metadata, package_files, packages
from shared.metadata.transaction import INSERTS
from shared.models import PackageFileStatus, PackageStatus

DOOMED_PACKAGE = written_out(PackageStatus.PENDING_DESTRUCTION)

PACKAGE_BY_ID = select(*PACKAGE_COLUMNS).where(packages.c.id == bindparam("of_package")).with_for_update()
PACKAGE_OF_VERSION = (
    select(*PACKAGE_COLUMNS)
    .where(
        packages.c.project_id == bindparam("of_project"),
        packages.c.package_type == PACKAGE_TYPE,
        packages.c.normalized_name == bindparam("of_name"),
        packages.c.canonical_version == bindparam("of_version"),
        packages.c.status != DOOMED_PACKAGE,
    )
    .with_for_update()
)
ADD_PACKAGE = {
    engine: insert_into(packages).on_conflict_do_nothing().returning(*PACKAGE_COLUMNS)
    for engine, insert_into in INSERTS.items()
}
SHOW_PACKAGE = (
    update(packages)
    .where(packages.c.id == bindparam("of_package"), packages.c.status != DOOMED_PACKAGE)
    .values(
        status=case(
            (
                packages.c.status.in_([written_out(PackageStatus.PROCESSING), written_out(PackageStatus.ERROR)]),
                literal(PackageStatus.DEFAULT, packages.c.status.type),
            ),
            else_=packages.c.status,
        ),
        status_message=None,
        updated_at=bindparam("now"),
    )
    .returning(packages.c.project_id)
)
FILES_NAMED = (
    select(*FILE_COLUMNS)
    .where(
        package_files.c.package_id == bindparam("of_package"),
        package_files.c.file_name == bindparam("of_name"),
        package_files.c.status != PackageFileStatus.PENDING_DESTRUCTION,
    )
    .order_by(package_files.c.id)
)
ADD_FILE = {
    engine: insert_into(package_files)
    .on_conflict_do_nothing(
        index_elements=["package_id", "file_name"], index_where=text("status IN ('default', 'processing')")
    )
    .returning(*FILE_COLUMNS)
    for engine, insert_into in INSERTS.items()
}
CONCLUDE_FILE = update(package_files).where(*held_by(bindparam("of_file"), bindparam("of_attempt")))
ADD_METADATA = insert(package_file_metadata)
CHANGE_METADATA = update(package_file_metadata).where(package_file_metadata.c.file_id == bindparam("of_file"))
