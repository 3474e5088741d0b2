"""The simple index and the simple page, byte for byte."""

import html.parser
import re
from datetime import datetime

import pytest

from shared.models import Visibility
from tests.api.raw_http import exchange, head, upload_target
from tests.api.registry import ROOT_TOKEN, SIMPLE_JSON, Registry, sha256
from tests.distributions import build_sdist, build_wheel, core_metadata, sdist_file_name, wheel_file_name

WHEEL = build_wheel("My.Pkg", "1.0", requires_python=">=3.8,<4")
SDIST = build_sdist("My.Pkg", "2.0")
METADATA = sha256(core_metadata("My.Pkg", "1.0", requires_python=">=3.8,<4"))
HTML_TYPE = "text/html; charset=utf-8"
PIP = f"{SIMPLE_JSON}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
JSON_TYPE = f"{SIMPLE_JSON}; charset=utf-8"


@pytest.fixture
async def published(registry: Registry) -> Registry:
    """A registry with a wheel of My.Pkg 1.0 and an sdist of my-pkg 2.0."""
    first = await registry.upload(WHEEL, name="My.Pkg", file_name=wheel_file_name("My.Pkg", "1.0"))
    second = await registry.upload(SDIST, name="my-pkg", version="2.0", file_name=sdist_file_name("My.Pkg", "2.0"))
    assert (first.status, second.status) == (201, 201)
    return registry


@pytest.mark.parametrize("path", ["simple", "simple/"])
@pytest.mark.parametrize("project", [1, "root/packages"])
async def test_the_index_lists_each_name_once(published: Registry, path: str, project: int | str) -> None:
    answer = await published.get(f"{published.pypi_of(project)}/{path}")
    assert answer.status == 200
    assert answer.headers["content-type"] == HTML_TYPE
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.body.decode() == (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        '    <meta name="pypi:repository-version" content="1.4">\n'
        "    <title>Links for packages</title>\n  </head>\n  <body>\n    <h1>Links for packages</h1>\n"
        f'    <a href="{published.pypi}/simple/my-pkg" data-requires-python="">My.Pkg</a><br>\n'
        "  </body>\n</html>\n"
    )


async def test_the_index_as_json_has_normalized_names(published: Registry) -> None:
    answer = await published.get(f"{published.pypi}/simple/", Accept=SIMPLE_JSON)
    assert answer.headers["content-type"] == JSON_TYPE
    assert answer.body == b'{"meta":{"api-version":"1.4"},"projects":[{"name":"my-pkg"}]}'


async def test_an_index_without_packages_is_empty(bare_registry: Registry) -> None:
    answer = await bare_registry.get(f"{bare_registry.pypi}/simple/", Accept=SIMPLE_JSON)
    assert answer.body == b'{"meta":{"api-version":"1.4"},"projects":[]}'


@pytest.mark.parametrize("path", ["simple/my-pkg", "simple/my-pkg/"])
@pytest.mark.parametrize("project", [1, "root/packages"])
async def test_the_page_lists_each_file(published: Registry, path: str, project: int | str) -> None:
    answer = await published.get(f"{published.pypi_of(project)}/{path}")
    assert answer.status == 200
    assert answer.headers["content-type"] == HTML_TYPE
    wheel, sdist = sha256(WHEEL), sha256(SDIST)
    assert answer.body.decode() == (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        '    <meta name="pypi:repository-version" content="1.4">\n'
        "    <title>Links for My.Pkg</title>\n  </head>\n  <body>\n    <h1>Links for My.Pkg</h1>\n"
        f'    <a href="{published.pypi}/files/{wheel}/my_pkg-1.0-py3-none-any.whl#sha256={wheel}" '
        'data-requires-python="&gt;=3.8,&lt;4" '
        f'data-core-metadata="sha256={METADATA}" data-dist-info-metadata="sha256={METADATA}">'
        "my_pkg-1.0-py3-none-any.whl</a><br>\n"
        f'    <a href="{published.pypi}/files/{sdist}/my_pkg-2.0.tar.gz#sha256={sdist}" '
        'data-requires-python="">my_pkg-2.0.tar.gz</a><br>\n'
        "  </body>\n</html>\n"
    )


async def test_the_page_as_json_has_what_installers_ask_for(published: Registry) -> None:
    answer = await published.get(f"{published.pypi}/simple/my-pkg/", Accept=SIMPLE_JSON)
    assert answer.headers["content-type"] == JSON_TYPE
    page = answer.json
    uploaded = [file.pop("upload-time") for file in page["files"]]
    wheel, sdist = sha256(WHEEL), sha256(SDIST)
    assert page == {
        "meta": {"api-version": "1.4"},
        "name": "my-pkg",
        "versions": ["1.0", "2.0"],
        "files": [
            {
                "filename": "my_pkg-1.0-py3-none-any.whl",
                "url": f"{published.pypi}/files/{wheel}/my_pkg-1.0-py3-none-any.whl",
                "hashes": {"sha256": wheel},
                "size": len(WHEEL),
                "yanked": False,
                "requires-python": ">=3.8,<4",
                "core-metadata": {"sha256": METADATA},
            },
            {
                "filename": "my_pkg-2.0.tar.gz",
                "url": f"{published.pypi}/files/{sdist}/my_pkg-2.0.tar.gz",
                "hashes": {"sha256": sdist},
                "size": len(SDIST),
                "yanked": False,
            },
        ],
    }
    for text in uploaded:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
        assert abs((datetime.fromisoformat(text) - datetime.now().astimezone()).total_seconds()) < 600


@pytest.mark.parametrize("spelling", ["My.Pkg", "MY_PKG", "my--pkg", "my.-_pkg/"])
async def test_another_spelling_is_sent_on_to_the_normalized_page(published: Registry, spelling: str) -> None:
    answer = await published.get(f"{published.pypi}/simple/{spelling}?x=a%20b&y=%25")
    assert answer.status == 302
    assert answer.headers["location"] == f"{published.pypi}/simple/my-pkg/?x=a%20b&y=%25"


async def test_nobody_is_sent_on_who_may_not_look(published: Registry) -> None:
    assert (await published.get(f"{published.pypi}/simple/My.Pkg", token=None)).status == 401


async def test_an_unknown_name_is_not_found(published: Registry) -> None:
    answer = await published.get(f"{published.pypi}/simple/nobody/")
    assert (answer.status, answer.body) == (404, b'{"message":"404 Package Not Found"}')
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../b", "..", "%2e%2e/x", "%2Fetc/passwd", "/etc/passwd", "a%2F..%2Fb", "%252e%252e/x", "a%00b"],
)
async def test_a_name_that_climbs_is_no_file_path(published: Registry, path: str) -> None:
    answer = await exchange(published, head("GET", f"{upload_target(published)}/simple/{path}"))
    assert answer == (400, b'{"error":"package_name should be a valid file path"}')


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, HTML_TYPE),
        ("*/*", HTML_TYPE),
        ("text/html", HTML_TYPE),
        ("application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.v1+html; charset=utf-8"),
        ("application/vnd.pypi.simple.latest+json", JSON_TYPE),
        (
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
            JSON_TYPE,
        ),
        ("application/vnd.pypi.simple.v1+json;q=0.1, text/html;q=0.2", HTML_TYPE),
    ],
)
async def test_the_client_chooses_the_format(published: Registry, accept: str | None, content_type: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    for path in ("simple/", "simple/my-pkg/"):
        answer = await published.get(f"{published.pypi}/{path}", **headers)
        assert (answer.status, answer.headers["content-type"]) == (200, content_type)


async def test_a_client_that_takes_none_of_them_is_told_what_there_is(published: Registry) -> None:
    answer = await published.get(f"{published.pypi}/simple/", Accept="application/json")
    assert answer.status == 406
    assert answer.body == (
        b'{"error":"406 Not Acceptable: offered are application/vnd.pypi.simple.v1+json, '
        b'application/vnd.pypi.simple.v1+html, text/html"}'
    )
    assert answer.headers["vary"] == "Accept"


async def test_the_format_parameter_wins_over_accept(published: Registry) -> None:
    answer = await published.get(
        f"{published.pypi}/simple/?format=application/vnd.pypi.simple.v1+json", Accept="text/html"
    )
    assert answer.headers["content-type"] == JSON_TYPE


@pytest.mark.parametrize("path", ["simple/", "simple/my-pkg/"])
async def test_an_unchanged_page_is_not_sent_again(published: Registry, path: str) -> None:
    first = await published.get(f"{published.pypi}/{path}")
    etag = first.headers["etag"]
    assert etag == f'"{sha256(first.body)}"'
    assert first.headers["cache-control"] == "private, no-cache"

    again = await published.get(f"{published.pypi}/{path}", If_None_Match=f'"other", W/{etag}')
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == etag
    assert again.headers["cache-control"] == "private, no-cache"
    assert again.headers["vary"] == "Accept, Accept-Encoding"

    as_json = await published.get(f"{published.pypi}/{path}", If_None_Match=etag, Accept=SIMPLE_JSON)
    assert as_json.status == 200


@pytest.mark.parametrize("path", ["simple/", "simple/my-pkg/"])
async def test_every_format_in_every_coding_has_a_tag_of_its_own(published: Registry, path: str) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for accept in (SIMPLE_JSON, "application/vnd.pypi.simple.v1+html", "text/html"):
        for coding in ("identity", "gzip", "zstd"):
            answer = await published.get(f"{published.pypi}/{path}", Accept=accept, Accept_Encoding=coding)
            told = (answer.headers["content-type"], answer.headers.get("content-encoding", ""))
            assert seen.setdefault(answer.headers["etag"], told) == told
    # What is too short to be compressed has but one coding.
    assert len(seen) == 9 if path == "simple/my-pkg/" else len(seen) >= 3


@pytest.mark.parametrize("path", ["simple", "simple/my-pkg/", "simple/My.Pkg", "simple/nobody"])
async def test_a_head_has_the_head_of_the_get(published: Registry, path: str) -> None:
    got = await published.get(f"{published.pypi}/{path}")
    asked = await published.ask("HEAD", f"{published.pypi}/{path}")
    assert asked.status == got.status
    assert asked.body == b""
    for name in got.headers.keys() - {"date", "x-request-id"}:
        assert asked.headers[name] == got.headers[name]


async def test_a_public_projects_pages_may_be_kept_by_anybody(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("open", visibility=Visibility.PUBLIC)
    answer = await bare_registry.get(f"{bare_registry.pypi_of(project.id)}/simple/", token=None)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
    assert "<title>Links for Open</title>" in answer.body.decode()


class TestBehindAProxy:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_TRUSTED_PROXIES": "127.0.0.0/8"}

    async def test_links_lead_to_where_the_client_asked(self, published: Registry) -> None:
        page = await published.get(
            f"{published.pypi}/simple/my-pkg/",
            X_Forwarded_Proto="https",
            X_Forwarded_Host="spoofed.test, registry.test:8443",
        )
        assert b'href="https://registry.test:8443/api/v4/projects/1/packages/pypi/files/' in page.body


class TestWithAnExternalUrl:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_EXTERNAL_URL": "https://registry.test/larder/"}

    async def test_links_begin_with_it(self, published: Registry) -> None:
        answer = await published.get(f"{published.pypi}/simple/", Host="elsewhere.test")
        assert b'href="https://registry.test/larder/api/v4/projects/1/packages/pypi/simple/my-pkg"' in answer.body


async def test_nobody_unknown_is_believed_about_where_the_client_asked(published: Registry) -> None:
    page = await published.get(f"{published.pypi}/simple/my-pkg/", X_Forwarded_Host="spoofed.test")
    assert b"spoofed.test" not in page.body


@pytest.mark.parametrize("host", ['a"b', "a/b", "a b", "user@a", "a:b", ""])
async def test_a_host_that_could_not_stand_in_a_url_is_refused(published: Registry, host: str) -> None:
    request = f"GET {upload_target(published)}/simple/ HTTP/1.1\r\nHost: {host}\r\nPRIVATE-TOKEN: {ROOT_TOKEN}\r\n\r\n"
    assert await exchange(published, request.encode()) == (400, b'{"error":"Host is invalid"}')


class TestWithChecksOff:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_UPLOAD_CHECKS": "off"}

    async def test_whatever_was_sent_stands_in_the_page_as_text(self, registry: Registry) -> None:
        hostile = "\"><script>alert('1')</script>&"
        assert (await registry.upload(b"x", file_name="p\u00e4 #1.whl", requires_python=hostile)).status == 201
        page = (await registry.get(f"{registry.pypi}/simple/pkg/")).body.decode()
        assert (
            'data-requires-python="&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;">p\u00e4__1.whl</a>'
            in page
        )
        assert f"/p%C3%A4__1.whl#sha256={sha256(b'x')}" in page
        links = _Links()
        links.feed(page)
        assert links.attributes[0]["data-requires-python"] == hostile

    async def test_the_index_leads_to_the_page_of_whatever_name(self, registry: Registry) -> None:
        names = ["-", "../up", "@scope/pkg", "a//b", "a@b/", "pkg"]
        for name in names:
            assert (await registry.upload(name.encode(), file_name="x.zip", name=name)).status == 201
        links = _Links()
        links.feed((await registry.get(f"{registry.pypi}/simple/")).body.decode())
        assert len(links.attributes) == len(names)
        for attributes, name in zip(links.attributes, names, strict=True):
            page = await registry.get(str(attributes["href"]))
            assert (page.status, page.body.count(sha256(name.encode()).encode())) == (200, 2)


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.attributes.append(dict(attrs))
