"""What every answer tells browsers, whoever makes it: to guess nothing, frame nothing and run nothing."""

from tests.api.published import CONTENT, publish
from tests.api.raw_http import connected
from tests.api.registry import ROOT_TOKEN, SIMPLE_JSON, Registry, sha256

NO_SCRIPTS = "default-src 'none'"
NO_FRAMES = "frame-ancestors 'none'"
HTML = "text/html"


def _check(headers: dict[str, str], *, of: str) -> None:
    assert headers["x-content-type-options"] == "nosniff", of
    assert headers["x-frame-options"] == "SAMEORIGIN", of
    assert headers["referrer-policy"] == "no-referrer", of
    policy = headers["content-security-policy"].split("; ")
    assert {NO_SCRIPTS, NO_FRAMES, "base-uri 'none'", "form-action 'none'"} <= set(policy), of
    assert not [rule for rule in policy if "unsafe" in rule or "script-src" in rule or "*" in rule], of


async def test_every_kind_of_answer_has_them(bare_registry: Registry) -> None:
    registry = bare_registry
    file = await publish(registry, metadata=b"Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n")
    pypi = registry.pypi.removeprefix(registry.url)
    file_url = f"{pypi}/files/{sha256(CONTENT)}/{file.file_name}"
    page = f"/root/packages/-/packages/{file.package_id}"
    asked: list[tuple[str, dict[str, str], int, str]] = [
        (f"{pypi}/simple/", {}, 200, HTML),
        (f"{pypi}/simple/pkg/", {}, 200, HTML),
        (f"{pypi}/simple/pkg/", {"Accept": "application/vnd.pypi.simple.v1+html"}, 200, "simple.v1+html"),
        (f"{pypi}/simple/pkg/", {"Accept": SIMPLE_JSON}, 200, "json"),
        (f"{pypi}/simple/Pkg/", {}, 302, "text/plain"),
        (f"{pypi}/simple/none/", {}, 404, "json"),
        (file_url, {}, 200, "octet-stream"),
        (file_url, {"Range": "bytes=0-1"}, 206, "octet-stream"),
        (file_url, {"Range": "bytes=9999-"}, 416, ""),
        (f"{file_url}.provenance", {}, 404, "json"),
        (page, {}, 200, HTML),
        ("/root/packages/-/packages/4711", {}, 404, HTML),
        ("/root/packages/-/packages/x", {}, 404, HTML),
        ("/nothing", {}, 404, "json"),
        ("/api/v4/user", {"Expect": "miracles"}, 417, "json"),
        ("/-/readiness", {}, 503, "json"),
        ("/-/health", {}, 200, "text/plain"),
    ]
    for url, sent, status, kind in asked:
        answer = await registry.get(url, **sent)
        assert (answer.status, kind in answer.headers.get("content-type", "")) == (status, True), (url, answer.headers)
        _check(answer.headers, of=url)
    etag = (await registry.get(f"{pypi}/simple/")).headers["etag"]
    unchanged = await registry.get(f"{pypi}/simple/", If_None_Match=etag)
    assert unchanged.status == 304
    _check(unchanged.headers, of="an answer without a body")


async def test_so_have_answers_to_what_is_no_request(bare_registry: Registry) -> None:
    for request in (b"nonsense\r\n\r\n", f"GET / HTTP/1.1\r\n{ROOT_TOKEN}\r\n\r\n".encode()):
        async with connected(bare_registry) as connection:
            await connection.send(request)
            assert (await connection.answer())[0] == 400
        lines = connection.heads[0].decode().split("\r\n")[1:-2]
        _check({name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, of=str(request))
