"""No text that anybody sends ends a header of an answer and begins another, however its line breaks are written."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from services.api.routes import API, ENDPOINTS
from tests.api.published import publish
from tests.api.raw_http import END as FORM_END
from tests.api.raw_http import connected, head, part, post_form
from tests.api.registry import Registry

INJECTED = "X-Injected: yes"
BREAKS = ("%0d%0a", "%0a", "%250d%250a", "%E5%98%8A%E5%98%8D", "%E2%80%A8")
"""Line breaks, those that were encoded twice, and characters whose low bytes or names are such."""
LINE = re.compile(rb"[!-9;-~]+: [ -~]*")


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_TRUSTED_PROXIES": "127.0.0.1", "LARDER_UPLOAD_CHECKS": "off", "LARDER_UPLOAD_WAIT_SECONDS": "0"}


async def _lines(registry: Registry, request: bytes) -> list[bytes]:
    """Return the lines of the answer's head behind the first one, each of which must be a header of ours."""
    async with connected(registry) as connection:
        await connection.send(request)
        await connection.answer()
    lines = connection.heads[0].split(b"\r\n")[1:-2]
    for line in lines:
        assert LINE.fullmatch(line), line
        assert not line.lower().startswith(b"x-injected"), line
    return lines


def _targets(hostile: str) -> Iterator[str]:
    """Give the URL of each GET with the text in every part that is not a fixed word, one at a time."""
    known = {"project": "1", "group": "1", "package_name": "pkg", "package_id": "1"}
    for endpoint in ENDPOINTS:
        if "GET" not in endpoint.methods:
            continue
        names = re.findall(r"{(\w+)[+]?}", endpoint.path)
        for chosen in names:
            path = endpoint.path
            for name in names:
                path = re.sub(rf"{{{name}[+]?}}", hostile if name == chosen else known.get(name, "1"), path)
            yield path


async def test_no_url_breaks_a_header(bare_registry: Registry) -> None:
    await publish(bare_registry)
    seen: set[str] = set()
    for line_break in BREAKS:
        hostile = f"A{line_break}{quote(INJECTED)}"
        for target in _targets(hostile):
            seen.add(target)
            await _lines(bare_registry, head("GET", target))
        for target in (f"{API}/projects?per_page=1&search={hostile}", f"{API}/projects?per_page=1&{hostile}=1"):
            await _lines(bare_registry, head("GET", target))
        # A redirect keeps the query.
        lines = await _lines(bare_registry, head("GET", f"{API}/projects/1/packages/pypi/simple/PKG/?x={hostile}"))
        assert [line for line in lines if line.startswith(b"Location: ")]
    assert len(seen) > 200


async def test_no_header_is_repeated_with_what_does_not_belong_there(bare_registry: Registry) -> None:
    target = f"{API}/projects?per_page=1"
    for name in ("X-Request-Id", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "Origin", "Accept"):
        for value in ("a%0d%0aX-Injected: yes", 'a"><script>', "a b", "http://evil.test/", "a,b", "\x7f", "a\tb"):
            await _lines(bare_registry, head("GET", target, **{name.replace("-", "_"): value}))
    for host in ("a b", "a/b", 'a"', "a,b", "a%0d%0ab", "[::1", "a:b", "a:99999999", "-", "@a", "a@b"):
        request = head("GET", target).replace(b"registry.test", host.encode())
        lines = await _lines(bare_registry, request)
        assert not [line for line in lines if line.startswith(b"Link: ")], host


async def test_no_field_of_an_upload_or_a_reason_breaks_a_header(bare_registry: Registry) -> None:
    registry = bare_registry
    for line_break in ("\r\n", "\n", "\r", "\u2028", "\x85", "%0d%0a"):
        hostile = f'a{line_break}{INJECTED}"-1.0.tar.gz'
        for name, version, file_name in ((hostile, "1.0", "a-1.0.tar.gz"), ("pkg", hostile, "a-1.0.tar.gz")):
            body = part("name", name.encode()) + part("version", version.encode())
            status, _ = await post_form(registry, body + part("content", b"x", file_name=file_name) + FORM_END)
            assert status == 400
        escaped = hostile.replace('"', '\\"')
        body = part("name", b"pkg") + part("version", b"1.0") + part("content", hostile.encode(), file_name=escaped)
        status, _ = await post_form(registry, body + FORM_END)
        assert status in (202, 400)
    file = await publish(registry, name="kept", file_name="kept-1.0.tar.gz")
    for reason in (f"a\r\n{INJECTED}", f"a%0d%0a{INJECTED}"):
        target = f"{API}/projects/1/packages/{file.package_id}/yank?reason={quote(reason)}"
        await _lines(registry, head("PUT", target, Content_Length="0"))
    for path in ("simple/kept/", "simple/pkg/", f"files/{file.sha256}/{file.file_name}"):
        await _lines(registry, head("GET", f"{API}/projects/1/packages/pypi/{path}"))
