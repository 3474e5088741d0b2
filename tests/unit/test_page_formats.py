"""Whatever gets into the registry survives on its pages, and HTML and JSON say the same of it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.api.multipart import ReceivedFile, ReceivedForm
from services.api.presenters import simple_html, simple_json
from services.api.presenters.links import PypiLinks
from services.api.schemas.upload import read_upload
from services.api.schemas.yanks import read_reason
from shared.distributions.core_metadata import read_core_metadata
from shared.errors import DistributionRejected, InvalidParameters, ValidationFailed
from shared.lines import as_line, is_line
from shared.models import IndexedFile, IndexedName, IndexedPage, PackageFileId, PackageId, ProjectId
from shared.names import (
    check_package_name,
    check_version,
    normalize_name,
    parse_distribution_file_name,
    sanitize_file_name,
)
from shared.status_markers import NameStatus, StatusMarker
from tests.conformance.reader import HtmlPage
from tests.distributions import core_metadata

LINKS = PypiLinks("https://packages.example/api/v4/projects/1/packages/pypi")
HOSTILE = "\"'><script>&amp;&quot&#39;&#x22;&nbsp;&lt</a></title>-->\ufeff\u00a0\u202e\u2066\U0001f40d"
_CONTROLS = "".join(map(chr, [*range(32), *range(0x7F, 0xA0)])) + "\u2028\u2029\ufdd0\ufffe\uffff\U0010ffff"
_TEXT = st.text(max_size=60) | st.text(st.sampled_from(HOSTILE + "\r\n\t" + _CONTROLS), max_size=60)
# What HTML5 calls a parse error wherever it stands, but for the surrogates, which are no characters.
_NOT_HTML5 = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\U0010fffe\U0010ffff]")


def taken_name(text: str) -> str | None:
    try:
        check_package_name(text)
    except ValidationFailed:
        return None
    return text


def taken_version(text: str) -> str | None:
    try:
        check_version(text)
    except ValidationFailed:
        return None
    return text


def distribution_file_name(stem: str) -> str | None:
    try:
        parse_distribution_file_name(stem)
    except ValidationFailed:
        return None
    return stem


def from_form(text: str) -> str | None:
    """Return the requires_python that an upload's form brings in, where archives are not checked."""
    file: Any = object.__new__(ReceivedFile)
    object.__setattr__(file, "file_name", "pkg-1.0.tar.gz")
    form = ReceivedForm(file, {"name": ["pkg"], "version": ["1.0"], "requires_python": [text]})
    return read_upload(form, takes_md5=True)[0].requires_python


def from_archive(text: str) -> str | None:
    """Return the requires_python that an archive brings in; None also where it is refused."""
    raw = core_metadata("pkg", "1.0", requires_python=text.encode("utf-8", "replace").decode())
    try:
        return read_core_metadata(raw, has_license_file=lambda _: True).requires_python
    except DistributionRejected:
        return None


def reason_of(text: str) -> str | None:
    try:
        return read_reason({"reason": text}) or ""
    except InvalidParameters:
        return None


NAMES = st.from_regex(r"[@A-Za-z0-9._/+-]{1,20}", fullmatch=True).map(taken_name).filter(lambda name: name is not None)
VERSIONS = st.from_regex(r"v?([0-9]!)?[0-9.]{1,5}[-_.a-z0-9+]{0,9}", fullmatch=True).map(taken_version)
FILE_NAMES = _TEXT.map(sanitize_file_name) | st.from_regex(
    r"[A-Za-z0-9._]{1,9}-([0-9]!)?[0-9]\.[0-9](\+[a-z0-9]{1,3})?(-py3-none-any\.whl|\.tar\.gz|\.zip)", fullmatch=True
).map(distribution_file_name).filter(lambda name: name is not None)
SPECIFIERS = st.sampled_from([">=3.8", "<4,!=3.9.*", "===\"&'<\u202e>", ">= 3 ; '\"", "\n>=3\r\n"]) | _TEXT
REQUIRES = (SPECIFIERS.map(from_form) | SPECIFIERS.map(from_archive)) | st.none()
REASONS = (_TEXT | st.just(HOSTILE)).map(reason_of)
DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


@st.composite
def indexed_files(draw: st.DrawFn) -> IndexedFile:
    return IndexedFile(
        file_id=PackageFileId(1),
        package_id=PackageId(1),
        project_id=ProjectId(draw(st.integers(1, 9))),
        package_name=draw(NAMES) or "pkg",
        version=draw(VERSIONS) or "1.0",
        file_name=draw(FILE_NAMES) or "pkg-1.0.tar.gz",
        size_bytes=draw(st.integers(0, 2**40)),
        sha256=draw(DIGESTS),
        requires_python=draw(REQUIRES),
        metadata_sha256=draw(DIGESTS | st.none()),
        yanked_reason=draw(REASONS),
        has_provenance=draw(st.booleans()),
        verified_at=None,
        uploaded_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=draw(st.integers(0, 10**15))),
    )


@st.composite
def pages(draw: st.DrawFn) -> IndexedPage:
    marker = StatusMarker(draw(st.sampled_from(NameStatus)), draw(REASONS.map(lambda reason: reason or None)))
    return IndexedPage(marker, tuple(draw(st.lists(indexed_files(), max_size=3))))


def read_html(content: bytes) -> tuple[HtmlPage, dict[str, str | None]]:
    """Return what a reader of HTML5 understands: it takes every line break for a line feed before it parses."""
    text = content.decode()
    assert not _NOT_HTML5.search(text)
    parsed = HtmlPage()
    parsed.feed(text.replace("\r\n", "\n").replace("\r", "\n"))
    parsed.close()
    assert parsed.declaration == "DOCTYPE html"
    metas = {str(meta["name"]): meta["content"] for meta in parsed.metas}
    assert metas.pop("pypi:repository-version") == "1.4"
    return parsed, metas


@settings(deadline=None, max_examples=30)
@given(NAMES, pages())
@example("pkg", IndexedPage(StatusMarker(NameStatus.QUARANTINED, HOSTILE), ()))
def test_both_forms_of_a_page_say_what_is_stored_and_the_same(name: str, page: IndexedPage) -> None:
    parsed, metas = read_html(simple_html.render_page(name, page, LINKS))
    told = json.loads(simple_json.render_page(normalize_name(name), page, LINKS))

    assert told["name"] == normalize_name(name)
    assert told["versions"] == list(dict.fromkeys(file.version for file in page.files))
    status = told.get("project-status", {"status": "active"})
    assert metas.get("pypi:project-status", "active") == status["status"] == page.marker.status
    assert metas.get("pypi:project-status-reason") == status.get("reason") == page.marker.reason
    assert len(parsed.anchors) == len(told["files"]) == len(page.files)
    for anchor, line, file in zip(parsed.anchors, told["files"], page.files, strict=True):
        said = anchor.attributes
        assert anchor.text == line["filename"] == file.file_name
        assert anchor.url == f"{line['url']}#sha256={file.sha256}"
        url, fragment = urldefrag(anchor.url)
        assert unquote(url.rpartition("/")[2]) == file.file_name
        assert fragment == f"sha256={line['hashes']['sha256']}"
        assert said["data-requires-python"] == line.get("requires-python", "") == (file.requires_python or "")
        yanked = {False: None, True: ""}.get(line["yanked"], line["yanked"])
        assert said.get("data-yanked") == yanked == file.yanked_reason
        digest = line.get("core-metadata", {}).get("sha256")
        assert digest == (file.metadata_sha256 if file.file_name.endswith(".whl") else None)
        assert "dist-info-metadata" not in line
        assert said.get("data-core-metadata") == said.get("data-dist-info-metadata")
        assert said.get("data-core-metadata") == (None if digest is None else f"sha256={digest}")
        assert said.get("data-provenance") == line.get("provenance")
        assert line.get("provenance") == (f"{url}.provenance" if file.has_provenance else None)
        assert line["size"] == file.size_bytes
        assert datetime.fromisoformat(line["upload-time"]) == file.uploaded_at


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=20), st.lists(NAMES, max_size=4), REQUIRES)
@example("", ["0/", "a@b/", "@a/b"], None)
def test_both_forms_of_an_index_name_the_same_packages(title: str, names: list[str], requires: str | None) -> None:
    lines = [IndexedName(name, normalize_name(name), requires) for name in names]
    parsed, _ = read_html(simple_html.render_index(as_line(title), lines, LINKS))
    told = json.loads(simple_json.render_index(lines))

    assert [anchor.text for anchor in parsed.anchors] == names
    # Of a page's URL the handler takes one slash away.
    led_to = [unquote(anchor.url.rpartition("/simple/")[2]).removesuffix("/") for anchor in parsed.anchors]
    assert led_to == [project["name"] for project in told["projects"]]
    assert all(anchor.attributes["data-requires-python"] == (requires or "") for anchor in parsed.anchors)


@given(_TEXT)
def test_what_an_upload_says_of_python_is_kept_on_one_line(text: str) -> None:
    line = from_form(text)
    assert line is None or (is_line(line) and line == line.strip())
    assert from_form(f">=3.8,\r\n\t{'<4'}") == ">=3.8, <4"


@pytest.mark.parametrize("character", [*"\x00\n\r\x1b\x7f\x85\u2028\ufdd0\uffff\U0001fffe", "\ud800"])
def test_what_no_page_could_show_is_no_part_of_a_line(character: str) -> None:
    assert not is_line(f"a{character}b")
    assert as_line(f" a{character}b ") == "a b"
    assert reason_of(f"a{character}b") is None
