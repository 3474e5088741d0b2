"""All that a registry holds, whatever it is kept in: to compare one that was moved with what it was before."""

import hashlib
from pathlib import Path
from typing import Any

from tests.s3_server import BUCKET, S3Server

Rows = dict[str, list[dict[str, Any]]]
"""As `tests.rows.everything` returns them."""

_MOVED = "registry.moved"
_OF_A_MOVE = frozenset({"blob_store_name", "moved"})


def but_for_moves(rows: Rows) -> Rows:
    """Return the rows without what a move writes: an audit event, and two settings of the instance."""
    return {
        **rows,
        "audit_events": [row for row in rows["audit_events"] if row["action"] != _MOVED],
        "instance_settings": [row for row in rows["instance_settings"] if row["name"] not in _OF_A_MOVE],
    }


def moves_in(rows: Rows) -> int:
    """Return how often these rows were moved."""
    return sum(row["action"] == _MOVED for row in rows["audit_events"])


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
