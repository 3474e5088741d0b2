"""Requests that no client library would send, and URLs where nothing is: never a 500, always JSON."""

import re

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.raw_http import connected, exchange, head
from tests.api.registry import ROOT_TOKEN, Registry

EVERY_ANSWER = {
    "x-frame-options": "SAMEORIGIN",
    "x-content-type-options": "nosniff",
    "server": "larder",
}
REQUEST_ID = re.compile(r"[0-9a-f]{20}")
fuzzing = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/", 404, b'{"error":"404 Not Found"}'),
        ("GET", "/api/v4", 404, b'{"error":"404 Not Found"}'),
        ("GET", "/api/v4/nothing", 404, b'{"error":"404 Not Found"}'),
        ("POST", "/api/v4/projects/1/packages/pypi/authorize", 404, b'{"error":"404 Not Found"}'),
        ("GET", "/api/v4/projects/1/packages/pypi/forward/a/b", 404, b'{"error":"404 Not Found"}'),
        ("GET", "/api/v4/projects/a%2Fb/c", 404, b'{"error":"404 Not Found"}'),
        ("GET", "/api/v3/projects", 410, b'{"error":"API V3 is no longer supported. Use API V4 instead."}'),
        ("GET", "/api/v3", 410, b'{"error":"API V3 is no longer supported. Use API V4 instead."}'),
        ("DELETE", "/api/v4/user", 405, b'{"error":"405 Not Allowed"}'),
        ("PATCH", "/api/v4/user/", 405, b'{"error":"405 Not Allowed"}'),
        ("POST", "/api/v4/projects/1/packages/pypi/simple", 405, b'{"error":"405 Not Allowed"}'),
        ("GET", "/api/v4/projects/1/packages/pypi", 400, b'{"error":"package_id is invalid"}'),
        ("DELETE", "/api/v4/projects/1/packages/pypi", 400, b'{"error":"package_id is invalid"}'),
    ],
)
async def test_where_nothing_is_the_answer_says_so_as_json(
    bare_registry: Registry, method: str, path: str, status: int, body: bytes
) -> None:
    answer = await bare_registry.ask(method, path)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["content-type"] == "application/json"


async def test_a_method_that_is_not_there_is_told_which_are(bare_registry: Registry) -> None:
    assert (await bare_registry.ask("DELETE", "/api/v4/user")).headers["allow"] == "GET, HEAD"
    assert (await bare_registry.ask("POST", f"{bare_registry.pypi}/simple")).headers["allow"] == "GET, HEAD"
    assert (await bare_registry.ask("PATCH", bare_registry.pypi)).headers["allow"] == "DELETE, GET, HEAD, POST, PUT"


@pytest.mark.parametrize("path", ["/-/health", "/api/v4/user", "/nothing", "/api/v4/projects/1/packages/pypi/simple/"])
async def test_every_answer_has_the_common_headers_and_an_id_of_ours(bare_registry: Registry, path: str) -> None:
    answer = await bare_registry.get(path, X_Request_Id="chosen by the client")
    assert {name: answer.headers.get(name) for name in EVERY_ANSWER} == EVERY_ANSWER
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nglpat-secret in a broken line\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_request_are_refused_without_being_repeated(
    bare_registry: Registry, request_bytes: bytes
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with connected(bare_registry) as connection:
            await connection.send(request_bytes)
            answer = await connection.answer()
    assert answer == (400, b'{"error":"400 Bad Request"}')
    told = connection.heads[0].decode().lower()
    assert all(f"{name}: {value.lower()}" in told for name, value in EVERY_ANSWER.items())
    assert "x-request-id: " in told
    assert "secret" not in str(logs)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nPRIVATE-TOKEN: " + b"glpat-secret" * 1000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x" * 9000 + b": a\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: glpat-secret\r\n" * 129 + b"\r\n",
    ],
)
async def test_a_head_that_is_too_large_is_refused_without_being_repeated(
    bare_registry: Registry, request_bytes: bytes
) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await exchange(bare_registry, request_bytes)
    assert answer == (431, b'{"error":"431 Request Header Fields Too Large"}')
    assert "secret" not in str(logs)


async def test_a_head_as_large_as_allowed_is_read(bare_registry: Registry) -> None:
    lines = b"A: " + b"x" * (8 * 1024 - 1) + b"\r\n"
    first = b"GET /-/liveness?" + b"a" * 8000 + b" HTTP/1.1\r\nHost: a\r\n"
    request = first + lines + b"B: b\r\n" * 126 + b"\r\n"
    assert (await exchange(bare_registry, request))[0] == 200


@pytest.mark.parametrize("target", ["*", "registry.test:80", "http://elsewhere.test/-/health"])
@pytest.mark.parametrize("method", ["OPTIONS", "CONNECT", "GET"])
async def test_targets_of_other_kinds_are_answered(bare_registry: Registry, method: str, target: str) -> None:
    status, body = await exchange(bare_registry, head(method, target))
    assert status in (200, 400, 404, 405)
    assert body.startswith((b"{", b"GitLab OK"))


async def test_a_token_of_bytes_that_are_no_text_is_unknown(bare_registry: Registry) -> None:
    for name in (b"PRIVATE-TOKEN: ", b"Authorization: Bearer "):
        request = b"GET /api/v4/user HTTP/1.1\r\nHost: a\r\n" + name + b"\xff\xfe\xe9\r\n\r\n"
        assert await exchange(bare_registry, request) == (401, b'{"message":"401 Unauthorized"}')


async def test_a_broken_chunk_of_a_body_is_a_bad_request(bare_registry: Registry) -> None:
    request = head("POST", "/api/v4/groups", Content_Type="application/json", Transfer_Encoding="chunked")
    status, body = await exchange(bare_registry, request + b"zz\r\nnonsense\r\n")
    assert (status, body[:9]) == (400, b'{"error":')


PIECES = (
    "/api/v4/projects/ 1 root%2Fpackages packages/pypi /simple/ /files/ pkg .metadata user groups version /-/readiness "
    "%00 %ff %zz .. %2e%2e / // -1 %F0%9F%92%A9 {x} ? # ?format= &private_token=%00 %0d%0a %5c ; + ~ "
)
paths = st.lists(
    st.sampled_from([*PIECES.split(), "a" * 64, "0" * 64, "9" * 25]),
    max_size=8,
).map(lambda pieces: "/" + "".join(pieces))
values = st.binary(max_size=30).map(lambda raw: re.sub(rb"[\x00-\x1f\x7f]", b" ", raw))
names = st.sampled_from(
    [b"Accept", b"Authorization", b"Host", b"Range", b"If-None-Match", b"If-Modified-Since", b"Content-Type", b"X-A"]
)


@fuzzing
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    path=paths,
    headers=st.lists(st.tuples(names, values), max_size=3),
    token=st.sampled_from([b"", f"PRIVATE-TOKEN: {ROOT_TOKEN}\r\n".encode()]),
)
async def test_no_url_and_no_header_is_more_than_a_bad_request(
    bare_registry: Registry, method: str, path: str, headers: list[tuple[bytes, bytes]], token: bytes
) -> None:
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    request = f"{method} {path} HTTP/1.1\r\n".encode() + token + lines + b"\r\n"
    async with connected(bare_registry) as connection:
        await connection.send(request)
        status = int((await connection.reader.readline()).split()[1])
    assert 200 <= status < 500 or (status == 503 and "readiness" in path)
