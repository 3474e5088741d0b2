"""Who may not publish hears so before the body is read; who sends it all the same gets to see the answer."""

import asyncio
import http.client
from collections.abc import Iterator

import pytest

from shared.models import Visibility
from tests.api.raw_http import FORM_TYPE, connected, head, part, upload_target
from tests.api.registry import NOTHING, ROOT_TOKEN, Registry
from tests.distributions import build_wheel

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WHEEL = build_wheel("pkg", "1.0")
_MIB = 1024 * 1024
LARGE_BYTES = 300 * _MIB


def _expecting(registry: Registry, *, token: str | None = ROOT_TOKEN, **headers: str) -> bytes:
    told = {"Content-Type": FORM_TYPE, "Content-Length": "100000", "Expect": "100-continue"} | headers
    return head("POST", upload_target(registry), token=token, **told)


async def test_the_body_is_invited_once_it_is_wanted(registry: Registry) -> None:
    form = part("name", b"pkg") + part("version", b"1.0")
    form += part("content", WHEEL, file_name="pkg-1.0-py3-none-any.whl") + b"--boundary-of-the-tests--\r\n"
    async with connected(registry) as connection:
        await connection.send(_expecting(registry, **{"Content-Length": str(len(form))}))
        assert await connection.reader.readexactly(len(CONTINUE)) == CONTINUE
        await connection.send(form)
        assert await connection.answer() == (201, b'{"message":"201 Created"}')


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        (None, {}, 401),
        ("glpat-nobody-has-this-token", {}, 401),
        (ROOT_TOKEN, {"Content-Length": str(1024**4)}, 413),
        (ROOT_TOKEN, {"Content-Type": "application/json"}, 400),
        (ROOT_TOKEN, {"Content-Encoding": "gzip"}, 400),
        (ROOT_TOKEN, {"Expect": "a miracle"}, 417),
    ],
)
async def test_a_body_that_nobody_wants_is_not_invited(
    bare_registry: Registry, token: str | None, headers: dict[str, str], status: int
) -> None:
    async with connected(bare_registry) as connection:
        await connection.send(_expecting(bare_registry, token=token, **headers))
        answer = await connection.answer()
    assert answer[0] == status
    assert connection.heads[0].startswith(f"HTTP/1.1 {status} ".encode())


async def test_nor_is_one_for_a_route_that_is_not_there(bare_registry: Registry) -> None:
    async with connected(bare_registry) as connection:
        await connection.send(
            head("POST", "/api/v4/nothing/here", Content_Type=FORM_TYPE, Content_Length="9", Expect="100-continue")
        )
        assert await connection.answer() == (404, b'{"error":"404 Not Found"}')


async def test_permission_is_decided_before_the_form_is_looked_at(bare_registry: Registry) -> None:
    answer = await bare_registry.ask("POST", bare_registry.pypi, token=None, data=b"no form at all")
    assert (answer.status, answer.body) == (401, b'{"message":"401 Unauthorized"}')
    assert answer.headers["www-authenticate"] == 'Basic realm="GitLab Packages Registry"'


@pytest.mark.parametrize(
    ("path", "token", "status", "body"),
    [
        ("/api/v4/projects/1/packages/pypi", None, 401, b'{"message":"401 Unauthorized"}'),
        ("/api/v4/projects/99/packages/pypi", ROOT_TOKEN, 404, b'{"message":"404 Not Found"}'),
        ("/api/v4/projects/1/packages/pypi", "reader", 403, b'{"message":"403 Forbidden"}'),
        ("/api/v4/user", ROOT_TOKEN, 405, b'{"error":"405 Not Allowed"}'),
    ],
)
async def test_a_client_that_pushes_300_mib_without_looking_gets_to_see_the_refusal(
    bare_registry: Registry, path: str, token: str | None, status: int, body: bytes
) -> None:
    if token == "reader":
        _, token = await bare_registry.add_user("reader")
        project = await bare_registry.add_project("open", visibility=Visibility.PUBLIC)
        path = f"/api/v4/projects/{project.id}/packages/pypi"
    assert await asyncio.to_thread(_push, bare_registry.port, path, token) == (status, body)


class TestWithASmallLimit:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_MAX_FILE_SIZE": "1MiB"}

    async def test_a_file_that_is_far_too_large_is_refused_so_that_its_sender_sees_it(
        self, bare_registry: Registry
    ) -> None:
        path = upload_target(bare_registry)
        answer = await asyncio.to_thread(_push, bare_registry.port, path, ROOT_TOKEN)
        assert answer == (413, b'{"message":"400 Bad request - File is too large"}')

    async def test_also_when_it_does_not_say_how_large_it_is(self, bare_registry: Registry) -> None:
        path = upload_target(bare_registry)
        answer = await asyncio.to_thread(_push_in_chunks, bare_registry.port, path, ROOT_TOKEN)
        assert answer == (413, b'{"message":"400 Bad request - File is too large"}')
        assert await bare_registry.traces() == NOTHING


def _body() -> Iterator[bytes]:
    yield part("name", b"pkg") + part("content", b"", file_name="pkg-1.0-py3-none-any.whl")[:-2]
    chunk = bytes(_MIB)
    for _ in range(LARGE_BYTES // _MIB):
        yield chunk


def _push(port: int, path: str, token: str | None) -> tuple[int, bytes]:
    """Send the whole body as a simple client does, and only then look for the answer."""
    headers = {"Content-Type": FORM_TYPE, "Content-Length": str(sum(map(len, _body())))}
    return _send(port, path, headers | ({"PRIVATE-TOKEN": token} if token else {}), is_chunked=False)


def _push_in_chunks(port: int, path: str, token: str) -> tuple[int, bytes]:
    return _send(port, path, {"Content-Type": FORM_TYPE, "PRIVATE-TOKEN": token}, is_chunked=True)


def _send(port: int, path: str, headers: dict[str, str], *, is_chunked: bool) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body=_body(), headers=headers, encode_chunked=is_chunked)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
