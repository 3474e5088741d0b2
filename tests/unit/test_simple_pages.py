"""Both forms of a simple page say the same, whatever somebody wrote as a reason."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.api.presenters import simple_html, simple_json
from services.api.presenters.links import PypiLinks
from services.api.schemas.name_status import read_marker
from services.api.schemas.yanks import read_reason
from shared.errors import InvalidParameters
from shared.models import IndexedFile, IndexedPage, PackageFileId, PackageId, ProjectId
from shared.names import NormalizedName
from shared.status_markers import UNMARKED, NameStatus, StatusMarker
from tests.conformance.reader import HtmlPage

LINKS = PypiLinks("https://packages.example")
NAME = NormalizedName("pkg")
HOSTILE = "\"'><script>&amp;&quot&#39;&#x22;&nbsp;&lt</a></title>-->\ufeff\u00a0\u202e\U0001f40d"


def file_with(yanked_reason: str | None) -> IndexedFile:
    return IndexedFile(
        file_id=PackageFileId(1),
        package_id=PackageId(1),
        project_id=ProjectId(1),
        package_name="pkg",
        version="1.0",
        file_name="pkg-1.0.tar.gz",
        size_bytes=1,
        sha256="0" * 64,
        requires_python=None,
        metadata_sha256=None,
        yanked_reason=yanked_reason,
        has_provenance=False,
        uploaded_at=datetime(2026, 11, 21, tzinfo=UTC),
        verified_at=None,
    )


def in_html(page: IndexedPage) -> tuple[str | None, dict[str, str | None]]:
    """Return what the HTML page says of its file and, by the meta elements' names, of the name."""
    parsed = HtmlPage()
    parsed.feed(simple_html.render_page("pkg", page, LINKS).decode())
    parsed.close()
    (anchor,) = parsed.anchors
    assert anchor.text == "pkg-1.0.tar.gz"
    metas = {str(meta["name"]): meta["content"] for meta in parsed.metas}
    assert metas.pop("pypi:repository-version") == "1.4"
    return anchor.attributes.get("data-yanked"), metas


def in_json(page: IndexedPage) -> tuple[bool | str, dict[str, str] | None]:
    told = json.loads(simple_json.render_page(NAME, page, LINKS))
    return told["files"][0]["yanked"], told.get("project-status")


@given(st.text(max_size=1000))
@example(HOSTILE)
@example(" leading and trailing ")
def test_a_reason_that_is_taken_survives_in_both_forms_unharmed(text: str) -> None:
    try:
        reason = read_reason({"reason": text})
        marker = read_marker({"status": "archived", "reason": text})
    except InvalidParameters:
        return
    page = IndexedPage(marker, (file_with(reason or ""),))
    if reason is None:
        assert not text.strip()
        assert in_html(page) == ("", {"pypi:project-status": "archived"})
        assert in_json(page) == (True, {"status": "archived"})
    else:
        assert reason == text
        metas = {"pypi:project-status": "archived", "pypi:project-status-reason": text}
        assert in_html(page) == (text, metas)
        assert in_json(page) == (text, {"status": "archived", "reason": text})


@given(st.text(alphabet=st.characters(categories=("L", "M", "N", "P", "S", "Zs", "Cf", "Co")), max_size=1000))
def test_every_line_of_text_is_taken(text: str) -> None:
    assert read_reason({"reason": text}) == (text if text.strip() else None)


@pytest.mark.parametrize("status", NameStatus)
@pytest.mark.parametrize("reason", [None, "so"])
def test_an_active_name_without_a_reason_is_told_by_saying_nothing(status: NameStatus, reason: str | None) -> None:
    marker = StatusMarker(status, reason)
    page = IndexedPage(marker, (file_with(None),))
    metas = {} if marker == UNMARKED else {"pypi:project-status": str(status)}
    told = {} if marker == UNMARKED else {"status": str(status)}
    if reason is not None:
        metas["pypi:project-status-reason"] = told["reason"] = reason
    assert in_html(page) == (None, metas)
    assert in_json(page) == (False, told or None)
