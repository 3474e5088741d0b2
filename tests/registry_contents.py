"""All that a registry holds, whatever it is kept in: to compare one that was moved with what it was before."""

import hashlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from shared.metadata.engine import open_doors
from shared.metadata.tables import metadata
from tests.s3_server import BUCKET, S3Server

Rows = dict[str, list[tuple[Any, ...]]]

_OF_A_MOVE = frozenset({"blob_store_name", "moved"})


async def rows_in(url: str) -> Rows:
    """Return all rows of all tables, by table, in the order of their keys."""
    async with open_doors(url, wait_seconds=10) as doors, doors.reader.transaction() as connection:
        return await connection.run_sync(_all_rows)


def but_for_moves(rows: Rows) -> Rows:
    """Return the rows without what a move writes: an audit event, and two settings of the instance."""
    return {
        **rows,
        "audit_events": [row for row in rows["audit_events"] if "registry.moved" not in row],
        "instance_settings": [row for row in rows["instance_settings"] if row[0] not in _OF_A_MOVE],
    }


def moves_in(rows: Rows) -> int:
    """Return how often these rows were moved."""
    return sum("registry.moved" in row for row in rows["audit_events"])


def blobs_on_disk(root: Path) -> dict[str, str]:
    """Return the MD5 of each blob below a directory, by its key."""
    return {
        path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def blobs_in_bucket(server: S3Server, prefix: str) -> dict[str, str]:
    """Return the MD5 of each blob of less than a part below a prefix, by its key, as the server tells it."""
    pages = server.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
    found = {
        entry["Key"].removeprefix(f"{prefix}/"): entry["ETag"].strip('"')
        for page in pages
        for entry in page.get("Contents", [])
    }
    return {key: digest for key, digest in found.items() if not key.startswith(".")}


def _all_rows(connection: Connection) -> Rows:
    return {
        table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
        for table in metadata.sorted_tables
    }
