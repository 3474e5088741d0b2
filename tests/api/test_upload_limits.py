"""Nobody has more than so many uploads under way; who is beyond that hears so before the body is read."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from shared.models import AccessLevel
from tests.api.raw_http import END, FORM_TYPE, RawConnection, connected, head, part, upload_target
from tests.api.registry import NOTHING, ROOT_TOKEN, Registry
from tests.distributions import build_wheel, wheel_file_name
from tests.waiting import eventually

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSED = (
    429,
    b'{"message":"429 Too Many Requests - 2 of your uploads are under way, try again when one of them has ended"}',
)


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_MAX_UPLOADS_PER_PRINCIPAL": "2", "LARDER_UPLOAD_WAIT_SECONDS": "0"}


def form(version: str) -> bytes:
    content = part("content", build_wheel("pkg", version), file_name=wheel_file_name("pkg", version))
    return part("name", b"pkg") + part("version", version.encode()) + content + END


async def begin(connection: RawConnection, registry: Registry, body: bytes, *, token: str = ROOT_TOKEN) -> None:
    """Send the head of an upload and return when its body is wanted."""
    request = head(
        "POST",
        upload_target(registry),
        token=token,
        Content_Type=FORM_TYPE,
        Content_Length=str(len(body)),
        Expect="100-continue",
    )
    await connection.send(request)
    async with asyncio.timeout(60):
        assert await connection.reader.readexactly(len(CONTINUE)) == CONTINUE


async def test_one_too_many_is_refused_unread_until_another_has_ended(bare_registry: Registry) -> None:
    bodies = [form(f"1.{number}") for number in range(4)]
    async with AsyncExitStack() as stack:
        first, second, third, fourth = [await stack.enter_async_context(connected(bare_registry)) for _ in range(4)]
        await begin(first, bare_registry, bodies[0])
        await begin(second, bare_registry, bodies[1])

        request = head("POST", upload_target(bare_registry), Content_Type=FORM_TYPE, Content_Length="9")
        await third.send(request + b"x" * 9)
        assert await third.answer() == REFUSED
        assert b"\r\nRetry-After: 5\r\n" in third.heads[0]
        assert await bare_registry.traces() == NOTHING

        await first.send(bodies[0])
        assert (await first.answer())[0] == 202
        await begin(fourth, bare_registry, bodies[3])
        for connection, body in ((second, bodies[1]), (fourth, bodies[3])):
            await connection.send(body)
            assert (await connection.answer())[0] == 202


async def test_others_are_not_held_up(bare_registry: Registry) -> None:
    user, token = await bare_registry.add_user("ada")
    async with bare_registry.backends.store.writing() as rows:
        project = await rows.tenants.project(bare_registry.project_id)
        assert project is not None
    await bare_registry.add_member(project, user, AccessLevel.MAINTAINER)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(bare_registry)) for _ in range(3)]
        body = form("1.0")
        await begin(connections[0], bare_registry, body)
        await begin(connections[1], bare_registry, body)
        await begin(connections[2], bare_registry, body, token=token)
        await connections[2].send(body)
        assert (await connections[2].answer())[0] == 202


async def test_an_upload_that_is_broken_off_gives_its_place_back(bare_registry: Registry) -> None:
    body = form("1.0")
    for _ in range(4):
        async with connected(bare_registry) as connection:
            await begin(connection, bare_registry, body)
            await connection.send(body[:100])
        await eventually(lambda: _is_idle(bare_registry), what="it was given up", timeout_seconds=60)
    assert await bare_registry.traces() == NOTHING


async def _is_idle(registry: Registry) -> bool:
    return registry.lifecycle.requests_under_way == 0
