"""Whatever text reaches a page for browsers is shown as text: neither element nor attribute comes of it."""

import json
from html.parser import HTMLParser

import pytest

from services.api.routes import API
from tests.api.published import publish
from tests.api.registry import Registry

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;b&gt;<!--</title></style>{{7*7}}${7*7}"
MARKS = ("alert(1)", "alert(2)")
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "a", "br", "pre", "code"),
    *("table", "thead", "tbody", "tr", "th", "td", "ul", "li", "span", "strong", "time"),
}
ATTRIBUTES = {"href", "charset", "name", "content", "lang", "class", "dir", "datetime"}
METADATA = f"""Metadata-Version: 2.4
Name: pkg
Version: 1.0
Summary: {HOSTILE}
License: {HOSTILE}
License-Expression: {HOSTILE}
Keywords: {HOSTILE}
Author: {HOSTILE}
Author-Email: {HOSTILE}
Home-Page: javascript:alert(1)
Project-URL: x, javascript:alert(1)
Requires-Dist: {HOSTILE}
Description-Content-Type: text/markdown

{HOSTILE}
[click](javascript:alert(1)) <a href="javascript:alert(2)">here</a>
""".encode()


class _Elements(HTMLParser):
    """Notes every element that a browser would make, and what it says."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.found.append(("a comment", {}))


def _check(page: bytes, *, shows: bool) -> None:
    """Fail on any element or attribute that the page's own template does not have."""
    elements = _Elements()
    elements.feed(page.decode())
    elements.close()
    for tag, attributes in elements.found:
        assert tag in ELEMENTS, tag
        for name, value in attributes.items():
            assert name in ATTRIBUTES or name.startswith("data-"), (tag, name)
            if name == "href":
                assert value is not None
                assert value.startswith(("http://", "?")), value
    assert "49" not in elements.text, "no template takes text for its own"
    if shows:
        assert all(mark in elements.text for mark in MARKS), "it is shown, so that nobody overlooks it"


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_UPLOAD_CHECKS": "off"}


async def test_no_field_that_reaches_a_page_becomes_a_part_of_it(bare_registry: Registry) -> None:
    registry = bare_registry
    group = await registry.post_json(f"{API}/groups", {"name": HOSTILE, "path": "hostile", "description": HOSTILE})
    body = {"name": HOSTILE, "path": "app", "namespace_id": group.json["id"], "description": HOSTILE}
    project = (await registry.post_json(f"{API}/projects", body)).json
    file = await publish(
        registry, project["id"], metadata=METADATA, requires_python=">=3<script>alert(1)</script>", version="1.0"
    )
    packages = f"{API}/projects/{project['id']}/packages"
    told = {"reason": HOSTILE, "status": "archived"}
    for path in (f"{file.package_id}/yank", f"{file.package_id}/package_files/{file.id}/yank", "pypi/names/pkg/status"):
        sent = await registry.ask("PUT", f"{packages}/{path}", data=json.dumps(told), Content_Type="application/json")
        assert sent.status == 200, sent.body
    page = await registry.get(f"/hostile/app/-/packages/{file.package_id}")
    assert page.status == 200
    _check(page.body, shows=True)
    simple = await registry.get(f"{packages}/pypi/simple/pkg/")
    _check(simple.body, shows=False)
    index = await registry.get(f"{packages}/pypi/simple/")
    _check(index.body, shows=True)
    of_group = await registry.get(f"{API}/groups/hostile/-/packages/pypi/simple/")
    _check(of_group.body, shows=True)


async def test_no_url_becomes_a_part_of_an_error_page(bare_registry: Registry) -> None:
    for url in (
        "/root/packages/-/packages/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/%3Cimg%20src=x%20onerror=alert(1)%3E/x/-/packages/1",
        "/root/packages/-/packages/1?sign_in=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    ):
        for token in (None, "glpat-<script>alert(1)</script>"):
            answer = await bare_registry.get(url, token=token)
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert b"alert" not in answer.body
            _check(answer.body, shows=False)
