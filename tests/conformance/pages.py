"""The clauses about what stands on the pages: PEP 503, 592, 629, 658, 691, 700, 714, 740 and 792."""

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from tests.conformance.clauses import AbsentError, Clauses
from tests.conformance.reader import HTML, JSON, TEXT_HTML, Anchor, Index

CLAUSES = Clauses()
_UPLOAD_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_STATUSES = {"active", "archived", "quarantined", "deprecated"}


def _last_segment(url: str) -> str:
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])


def _files(index: Index) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = index.page(JSON).json["files"]
    assert files, "the project has no files to look at"
    return files


def _anchors(index: Index) -> list[Anchor]:
    anchors = index.page().files
    assert anchors, "the project has no files to look at"
    return anchors


def _version_of(file_name: str) -> Version:
    return parse_wheel_filename(file_name)[1] if file_name.endswith(".whl") else parse_sdist_filename(file_name)[1]


@CLAUSES.must("PEP 503", "the root page is an HTML5 page with an anchor for each project")
def _(index: Index) -> None:
    page = index.root().page
    assert page.declaration.lower() == "doctype html"
    assert index.project in {canonicalize_name(anchor.text) for anchor in page.anchors}


@CLAUSES.must("PEP 503", "the root page links to the normalized name of each project")
def _(index: Index) -> None:
    for anchor in index.root().files:
        assert _last_segment(anchor.target) == canonicalize_name(anchor.text), anchor.url


@CLAUSES.must("PEP 503", "the project page is an HTML5 page whose anchors are called as the files that they link to")
def _(index: Index) -> None:
    assert index.page().page.declaration.lower() == "doctype html"
    for anchor in _anchors(index):
        assert anchor.text == _last_segment(anchor.target)


@CLAUSES.must("PEP 503", "pages answer at URLs that end in a slash, and those without lead there or answer too")
def _(index: Index) -> None:
    for url in (index.url, index.page_url):
        assert index.get(url, Accept=TEXT_HTML).status == 200
        assert index.get(url.rstrip("/"), Accept=TEXT_HTML).status == 200


@CLAUSES.must("PEP 503", "an unknown project is 404")
def _(index: Index) -> None:
    assert index.get(f"{index.url}no-such-project-in-the-world/", Accept=TEXT_HTML).status == 404


@CLAUSES.should("PEP 503", "each file's URL has a digest as its fragment, and the file has that digest")
def _(index: Index) -> None:
    for anchor in _anchors(index):
        name, _, digest = anchor.digest.partition("=")
        assert hashlib.new(name, index.kept(anchor.target, "*/*").body).hexdigest() == digest


@CLAUSES.must("PEP 503", "data-requires-python is escaped, and a specifier of versions")
def _(index: Index) -> None:
    told = [anchor.attributes.get("data-requires-python") for anchor in _anchors(index)]
    if not any(told):
        raise AbsentError("no file says which Python it requires")
    for specifier in filter(None, told):
        SpecifierSet(specifier)
    for line in re.findall(rb'data-requires-python="([^"]*)"', index.page().body):
        assert b"<" not in line, line
        assert b">" not in line, line


@CLAUSES.may("PEP 503", "another spelling of the name leads to the normalized one")
def _(index: Index) -> None:
    spelling = index.project.replace("-", "__").upper()
    answer = index.ask_once(f"{index.url}{spelling}/", Accept=JSON)
    assert answer.status in (301, 302, 303, 307, 308), answer.status
    assert answer.headers["location"].rstrip("/").endswith(f"/{index.project}")


@CLAUSES.must("PEP 592", "yanked is a boolean or a reason in JSON, and the same files are yanked in HTML")
def _(index: Index) -> None:
    in_json = {file["filename"]: file.get("yanked", False) for file in _files(index)}
    assert all(isinstance(value, bool) or (isinstance(value, str) and value) for value in in_json.values())
    in_html = {anchor.text: anchor.attributes.get("data-yanked") for anchor in _anchors(index)}
    for name, value in in_json.items():
        assert in_html[name] == {True: "", False: None}.get(value, value)
    if not any(in_json.values()):
        raise AbsentError("no file is yanked")


@CLAUSES.must("PEP 629", "each HTML page says the version of the API, once, as major.minor")
def _(index: Index) -> None:
    for page in (index.root().page, index.page().page):
        versions = [meta.get("content") for meta in page.metas if meta.get("name") == "pypi:repository-version"]
        assert len(versions) == 1, versions
        assert re.fullmatch(r"1\.\d+", versions[0] or "")


@CLAUSES.must("PEP 658", "metadata that is announced is there, beside the file, and has the digest that is told")
def _(index: Index) -> None:
    announced = [anchor for anchor in _anchors(index) if anchor.attributes.get("data-dist-info-metadata")]
    if not announced:
        raise AbsentError("no metadata is announced")
    for anchor in announced:
        answer = index.kept(f"{anchor.target}.metadata", "*/*")
        assert answer.status == 200
        name, _, digest = str(anchor.attributes["data-dist-info-metadata"]).partition("=")
        if name != "true":
            assert hashlib.new(name, answer.body).hexdigest() == digest


@CLAUSES.must("PEP 658", "`.metadata` behind the URL that JSON gives of a file, as it stands, leads to its metadata")
def _(index: Index) -> None:
    announced = [file for file in _files(index) if isinstance(file.get("core-metadata"), dict)]
    if not announced:
        raise AbsentError("no metadata is announced with its digest")
    for file in announced:
        answer = index.kept(urljoin(index.page(JSON).url, f"{file['url']}.metadata"), "*/*")
        assert answer.status == 200
        for name, digest in file["core-metadata"].items():
            assert hashlib.new(name, answer.body).hexdigest() == digest


@CLAUSES.must("PEP 714", "metadata is announced by the newer name wherever it is by the older one, alike")
def _(index: Index) -> None:
    for anchor in _anchors(index):
        assert anchor.attributes.get("data-core-metadata") == anchor.attributes.get("data-dist-info-metadata")
    for file in _files(index):
        assert file.get("core-metadata") == file.get("dist-info-metadata", file.get("core-metadata"))


@CLAUSES.must("PEP 691", "pages come as JSON to those who ask for it, and say so")
def _(index: Index) -> None:
    for answer in (index.root(JSON), index.page(JSON)):
        assert (answer.status, answer.media_type) == (200, JSON)
        assert re.fullmatch(r"1\.\d+", answer.json["meta"]["api-version"])


@CLAUSES.must("PEP 691", "pages come as HTML to those who ask for it, by its old name and by its own")
def _(index: Index) -> None:
    for accept in (HTML, TEXT_HTML):
        for answer in (index.root(accept), index.page(accept)):
            assert (answer.status, answer.media_type) == (200, accept)


@CLAUSES.must("PEP 691", "`latest` is answered by the version that it stands for")
def _(index: Index) -> None:
    for form in ("json", "html"):
        answer = index.page(f"application/vnd.pypi.simple.latest+{form}")
        assert (answer.status, answer.media_type) == (200, f"application/vnd.pypi.simple.v1+{form}")


@CLAUSES.must("PEP 691", "without an Accept header, and with `*/*`, a page still comes, with its type")
def _(index: Index) -> None:
    for answer in (index.get(index.page_url), index.page("*/*")):
        assert answer.status == 200
        assert answer.media_type in (JSON, HTML, TEXT_HTML)


@CLAUSES.should("PEP 691", "the weights of the Accept header decide, not its order")
def _(index: Index) -> None:
    assert index.page(f"{TEXT_HTML};q=0.1, {JSON}").media_type == JSON
    assert index.page(f"{JSON};q=0.1, {HTML};q=0.9").media_type == HTML
    assert index.page(f"{JSON};q=0, {TEXT_HTML};q=0.1").media_type == TEXT_HTML


@CLAUSES.should("PEP 691", "who takes none of the forms is told 406, or gets one of them: never 300")
def _(index: Index) -> None:
    answer = index.page("application/vnd.pypi.simple.v999+json")
    assert answer.status in (200, 406), answer.status


@CLAUSES.may("PEP 691", "`?format=` chooses the form, whatever Accept says")
def _(index: Index) -> None:
    answer = index.get(f"{index.page_url}?format={JSON.replace('+', '%2B')}", Accept=TEXT_HTML)
    assert (answer.status, answer.media_type) == (200, JSON)


@CLAUSES.must("PEP 691", "the JSON root page names the projects")
def _(index: Index) -> None:
    names = [project["name"] for project in index.root(JSON).json["projects"]]
    assert index.project in {str(canonicalize_name(name)) for name in names}
    assert all(isinstance(name, str) for name in names)


@CLAUSES.must("PEP 691", "the JSON page has the normalized name, and of each file its name, URL and digests")
def _(index: Index) -> None:
    assert index.page(JSON).json["name"] == index.project
    for file in _files(index):
        assert isinstance(file["filename"], str)
        assert isinstance(file["url"], str)
        assert all(name == name.lower() for name in file["hashes"])


@CLAUSES.must("PEP 691", "HTML and JSON list the same files, with the same digests and the same demands on Python")
def _(index: Index) -> None:
    in_html = {
        (anchor.text, anchor.digest, anchor.attributes.get("data-requires-python") or "") for anchor in _anchors(index)
    }
    in_json = {
        (file["filename"], f"sha256={file['hashes'].get('sha256')}", file.get("requires-python") or "")
        for file in _files(index)
    }
    assert in_html == in_json


@CLAUSES.must("PEP 700", "the JSON page lists all versions, once each, and each file is of one of them")
def _(index: Index) -> None:
    page = index.page(JSON).json
    assert Version(page["meta"]["api-version"]) >= Version("1.1")
    assert len(page["versions"]) == len(set(page["versions"]))
    known = {Version(version) for version in page["versions"]}
    for file in _files(index):
        assert _version_of(file["filename"]) in known


@CLAUSES.must("PEP 700", "each file's size is told in bytes, and true")
def _(index: Index) -> None:
    for file in _files(index):
        url = _absolute(index, file["url"])
        assert file["size"] == len(index.kept(url, "*/*").body)


@CLAUSES.should("PEP 700", "each file's time of upload is told, in UTC")
def _(index: Index) -> None:
    for file in _files(index):
        assert _UPLOAD_TIME.fullmatch(file["upload-time"]), file["upload-time"]


@CLAUSES.must("PEP 740", "provenance that is announced is there, and of version 1")
def _(index: Index) -> None:
    announced = [file["provenance"] for file in _files(index) if file.get("provenance")]
    if not announced:
        raise AbsentError("no provenance is announced")
    for url in announced:
        provenance = json.loads(index.kept(url, "*/*").body)
        assert provenance["version"] == 1
        assert all(bundle["attestations"] for bundle in provenance["attestation_bundles"])


@CLAUSES.must("PEP 740", "provenance is announced by an absolute URL, and by the same one where HTML tells of it")
def _(index: Index) -> None:
    in_json = {file["filename"]: file["provenance"] for file in _files(index) if file.get("provenance")}
    if not in_json:
        raise AbsentError("no provenance is announced")
    assert all(urlsplit(url).scheme and urlsplit(url).netloc for url in in_json.values())
    for anchor in _anchors(index):
        assert anchor.attributes.get("data-provenance") in (None, in_json.get(anchor.text))


@CLAUSES.must("PEP 740", "each attestation is of version 1 and speaks of the very file beside which it is served")
def _(index: Index) -> None:
    announced = [(file["provenance"], file["hashes"]["sha256"]) for file in _files(index) if file.get("provenance")]
    if not announced:
        raise AbsentError("no provenance is announced")
    for url, sha256 in announced:
        for bundle in json.loads(index.kept(url, "*/*").body)["attestation_bundles"]:
            assert bundle["publisher"]["kind"]
            for attestation in bundle["attestations"]:
                assert attestation["version"] == 1
                (subject,) = json.loads(base64.b64decode(attestation["envelope"]["statement"]))["subject"]
                assert subject["digest"]["sha256"] == sha256


@CLAUSES.must("PEP 792", "a status is one of the four, beside an optional reason")
def _(index: Index) -> None:
    status = _status(index)
    assert status["status"] in _STATUSES
    assert isinstance(status.get("reason", ""), str)
    assert Version(index.page(JSON).json["meta"]["api-version"]) >= Version("1.4")


@CLAUSES.may("PEP 792", "HTML tells the same status and reason as JSON, once each")
def _(index: Index) -> None:
    status = _status(index)
    metas = [(meta.get("name"), meta.get("content")) for meta in index.page().page.metas]
    told = {name: content for name, content in metas if (name or "").startswith("pypi:project-status")}
    if not told:
        raise AbsentError("no status is told in HTML")
    assert len(told) == sum((name or "").startswith("pypi:project-status") for name, _ in metas)
    assert told.get("pypi:project-status") == status["status"]
    assert told.get("pypi:project-status-reason") == status.get("reason")


@CLAUSES.must("PEP 792", "a quarantined project is there and offers no file, and every other one does")
def _(index: Index) -> None:
    is_quarantined = index.page(JSON).json.get("project-status", {}).get("status") == "quarantined"
    assert (index.page(JSON).status, index.page().status) == (200, 200)
    assert bool(index.page(JSON).json["files"]) is not is_quarantined
    assert bool(index.page().files) is not is_quarantined


def _status(index: Index) -> dict[str, Any]:
    status: dict[str, Any] | None = index.page(JSON).json.get("project-status")
    if status is None:
        raise AbsentError("no status is told")
    return status


def _absolute(index: Index, url: str) -> str:
    return Anchor("", {"href": url}, base=index.page(JSON).url).target
