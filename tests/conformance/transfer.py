"""The clauses about how pages and files travel: RFC 9110, and what installers need of it."""

from packaging.utils import canonicalize_name

from tests.conformance.clauses import AbsentError, Clauses
from tests.conformance.reader import JSON, TEXT_HTML, Index

CLAUSES = Clauses()
_TELLING = ("content-type", "etag", "cache-control", "vary", "content-length", "accept-ranges", "content-disposition")


def _file(index: Index) -> str:
    files = index.page().files
    assert files, "the project has no files to look at"
    return files[0].target


@CLAUSES.must("RFC 9110 9.3.2", "HEAD is answered as GET is, without a body")
def _(index: Index) -> None:
    for url, accept in ((index.url, TEXT_HTML), (index.page_url, JSON), (_file(index), "*/*")):
        got, told = index.get(url, Accept=accept), index.get(url, "HEAD", Accept=accept)
        assert (told.status, told.body) == (got.status, b"")
        for name in _TELLING:
            assert told.headers.get(name) == got.headers.get(name), name


@CLAUSES.should("RFC 9110 13.1.2", "a page that is still the same is answered 304, by a strong tag")
def _(index: Index) -> None:
    for accept in (JSON, TEXT_HTML):
        tag = index.page(accept).headers["etag"]
        assert not tag.startswith("W/")
        answer = index.get(index.page_url, Accept=accept, If_None_Match=tag)
        assert (answer.status, answer.body) == (304, b"")


@CLAUSES.must("RFC 9110 12.5.5", "pages that depend on Accept say so")
def _(index: Index) -> None:
    assert "accept" in index.page(JSON).headers.get("vary", "").lower()


@CLAUSES.should("RFC 9111", "installers are made to ask whether a page still holds")
def _(index: Index) -> None:
    told = index.page(JSON).headers.get("cache-control", "")
    assert "no-cache" in told or "max-age" in told, told


@CLAUSES.should("RFC 9110 14.3", "files say that they can be had in parts, and how long they are")
def _(index: Index) -> None:
    answer = index.get(_file(index), "HEAD", Accept_Encoding="identity")
    assert answer.headers["accept-ranges"] == "bytes"
    assert int(answer.headers["content-length"]) == len(index.kept(_file(index), "*/*").body)


@CLAUSES.must("RFC 9110 14.2", "the part of a file that is asked for comes, and is told by its place")
def _(index: Index) -> None:
    whole = index.kept(_file(index), "*/*").body
    answer = index.get(_file(index), Range="bytes=10-19")
    if answer.status == 200:
        raise AbsentError("parts are not given")
    assert (answer.status, answer.body) == (206, whole[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(whole)}"


@CLAUSES.must("RFC 9110 14.1.2", "the last bytes come to who asks for those")
def _(index: Index) -> None:
    whole = index.kept(_file(index), "*/*").body
    answer = index.get(_file(index), Range="bytes=-10")
    if answer.status == 200:
        raise AbsentError("parts are not given")
    assert (answer.status, answer.body) == (206, whole[-10:])
    longer = index.get(_file(index), Range=f"bytes=-{len(whole) + 10}")
    assert longer.status in (200, 206)
    assert longer.body == whole


@CLAUSES.must("RFC 9110 13.1.5", "a download goes on only while the file is the one that it began with")
def _(index: Index) -> None:
    tag = index.kept(_file(index), "*/*").headers.get("etag")
    if tag is None or tag.startswith("W/"):
        raise AbsentError("files have no strong tag")
    assert index.get(_file(index), Range="bytes=5-", If_Range=tag).status == 206
    assert index.get(_file(index), Range="bytes=5-", If_Range='"another"').status == 200


@CLAUSES.should("RFC 9110 15.5.17", "a part beyond the end is refused, and the length told")
def _(index: Index) -> None:
    length = len(index.kept(_file(index), "*/*").body)
    answer = index.get(_file(index), Range=f"bytes={length + 5}-")
    assert (answer.status, answer.headers.get("content-range")) == (416, f"bytes */{length}")


@CLAUSES.must("installers", "files travel as they are: a content coding would break their digests")
def _(index: Index) -> None:
    answer = index.get(_file(index), Accept_Encoding="gzip, zstd")
    assert "content-encoding" not in answer.headers
    assert answer.body == index.kept(_file(index), "*/*").body


@CLAUSES.should("installers", "pages are compressed for those who ask for it, and say so")
def _(index: Index) -> None:
    answer = index.get(index.page_url, Accept=JSON, Accept_Encoding="gzip")
    assert answer.headers.get("content-encoding") == "gzip"
    assert "accept-encoding" in answer.headers.get("vary", "").lower()


@CLAUSES.must("PEP 503", "a redirect keeps what the client accepts: JSON is reached from any spelling")
def _(index: Index) -> None:
    spelling = index.project.replace("-", ".")
    answer = index.get(f"{index.url}{spelling}", Accept=JSON)
    assert canonicalize_name(spelling) == index.project
    assert answer.media_type == JSON or answer.status == 404
