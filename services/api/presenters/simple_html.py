"""The simple index and the simple page as HTML.

Source: PEP 503, 592, 629, 658, 714, 740, 792; contract, PyPI 5.1 (title, attributes and their order), with a line break
and a line for each link.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from services.api.presenters.core_metadata import advertised_digest
from services.api.presenters.links import PypiLinks
from shared.models import IndexedFile, IndexedName, IndexedPage
from shared.status_markers import UNMARKED, StatusMarker

REPOSITORY_VERSION = "1.4"
"""Of the HTML representation; later versions of the simple API change only the JSON (PEP 833)."""


def render_index(title: str, names: Sequence[IndexedName], links: PypiLinks) -> bytes:
    """Return the page that lists all names.

    Args:
        title: the display name of the project or group.
    """
    return _document(
        title,
        (
            _anchor(
                links.simple_page(name.normalized_name),
                name.name,
                {"data-requires-python": name.requires_python or ""},
            )
            for name in names
        ),
    )


def render_page(title: str, page: IndexedPage, links: PypiLinks) -> bytes:
    """Return the page that lists all files of a name.

    Args:
        title: the name as it was first spelt.
    """
    return _document(title, (_file_anchor(file, links) for file in page.files), about=_status(page.marker))


def _status(marker: StatusMarker) -> dict[str, str]:
    """Return what tells the status; nothing where nothing is said, which means that the name is active."""
    if marker == UNMARKED:
        return {}
    told = {"pypi:project-status": marker.status.value}
    return told if marker.reason is None else told | {"pypi:project-status-reason": marker.reason}


def _file_anchor(file: IndexedFile, links: PypiLinks) -> str:
    attributes = {"data-requires-python": file.requires_python or ""}
    metadata_sha256 = advertised_digest(file)
    if metadata_sha256 is not None:
        digest = f"sha256={metadata_sha256}"
        attributes |= {"data-core-metadata": digest, "data-dist-info-metadata": digest}
    if file.yanked_reason is not None:
        attributes["data-yanked"] = file.yanked_reason
    if file.has_provenance:
        attributes["data-provenance"] = links.provenance(sha256=file.sha256, file_name=file.file_name)
    return _anchor(links.pinned_file(sha256=file.sha256, file_name=file.file_name), file.file_name, attributes)


def _anchor(url: str, text: str, attributes: dict[str, str]) -> str:
    told = "".join(f' {name}="{_escape(value)}"' for name, value in attributes.items())
    return f'    <a href="{_escape(url)}"{told}>{_escape(text)}</a><br>\n'


def _document(title: str, anchors: Iterable[str], *, about: Mapping[str, str] | None = None) -> bytes:
    heading = f"Links for {_escape(title)}"
    metas = {"pypi:repository-version": REPOSITORY_VERSION, **(about or {})}
    told = "".join(f'    <meta name="{name}" content="{_escape(value)}">\n' for name, value in metas.items())
    head = (
        f"<!DOCTYPE html>\n<html>\n  <head>\n{told}"
        f"    <title>{heading}</title>\n  </head>\n  <body>\n    <h1>{heading}</h1>\n"
    )
    return (head + "".join(anchors) + "  </body>\n</html>\n").encode()


def _escape(text: str) -> str:
    return escape(text).replace("&#x27;", "&#39;")
