"""The simple index and the simple page as JSON.

Source: PEP 691, 592, 700, 714, 740, 792; contract, PyPI 5.2, but for the fragment of file URLs: the digest stands
beside them, and readers that put `.metadata` behind the URL, as PEP 658 says, would put it into the fragment.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.api.presenters.core_metadata import advertised_digest
from services.api.presenters.json_response import to_json
from services.api.presenters.links import PypiLinks
from shared.models import IndexedFile, IndexedName, IndexedPage
from shared.names import NormalizedName
from shared.status_markers import UNMARKED, StatusMarker

API_VERSION = "1.4"


def render_index(names: Sequence[IndexedName]) -> bytes:
    """Return the page that lists all names, normalized."""
    return _encoded({"meta": _meta(), "projects": [{"name": name.normalized_name} for name in names]})


def render_page(name: NormalizedName, page: IndexedPage, links: PypiLinks) -> bytes:
    """Return the page that lists all files of a name, and its versions in the order of their first files."""
    return _page(name, page, [_file(file, links) for file in page.files])


def render_group_page(name: NormalizedName, page: IndexedPage, links: PypiLinks) -> bytes:
    """Return the page as `render_page` does, with the project of each file.

    Source: PEP 691: keys that begin with an underscore are the server's own.
    """
    return _page(name, page, [_file(file, links) | {"_project_id": file.project_id} for file in page.files])


def _page(name: NormalizedName, page: IndexedPage, files: list[dict[str, Any]]) -> bytes:
    versions = list(dict.fromkeys(file.version for file in page.files))
    return _encoded({"meta": _meta(), "name": name, **_status(page.marker), "versions": versions, "files": files})


def _status(marker: StatusMarker) -> dict[str, dict[str, str]]:
    """Return the key that tells the status; none where nothing is said, which means that the name is active."""
    if marker == UNMARKED:
        return {}
    told = {"status": marker.status.value}
    return {"project-status": told if marker.reason is None else told | {"reason": marker.reason}}


def _file(file: IndexedFile, links: PypiLinks) -> dict[str, Any]:
    told: dict[str, Any] = {
        "filename": file.file_name,
        "url": links.file(sha256=file.sha256, file_name=file.file_name),
        "hashes": {"sha256": file.sha256},
        "size": file.size_bytes,
        "upload-time": _instant(file.uploaded_at),
        "yanked": False if file.yanked_reason is None else file.yanked_reason or True,
    }
    if file.requires_python:
        told["requires-python"] = file.requires_python
    metadata_sha256 = advertised_digest(file)
    if metadata_sha256 is not None:
        # The older spelling `dist-info-metadata` stands in the HTML alone: pip 22.3 to 23.1 asks for JSON and breaks on
        # any value of it that the specification allows. Source: PEP 714; pip issue 12042.
        told["core-metadata"] = {"sha256": metadata_sha256}
    if file.has_provenance:
        told["provenance"] = links.provenance(sha256=file.sha256, file_name=file.file_name)
    return told


def _meta() -> dict[str, str]:
    return {"api-version": API_VERSION}


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _encoded(page: dict[str, Any]) -> bytes:
    return to_json(page).encode()
