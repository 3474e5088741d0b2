"""How many connections there may be, who makes room for whom, and how long each may wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.api.raw_http import FORM_TYPE, RawConnection, connected, exchange, head, upload_target
from tests.api.registry import Registry
from tests.waiting import eventually

LIVENESS = head("GET", "/-/liveness", token=None)
REFUSED = (
    503,
    b'{"message":"503 Service Unavailable - there are too many connections, try again in a moment"}',
)


@asynccontextmanager
async def busy(registry: Registry, count: int) -> AsyncIterator[list[RawConnection]]:
    """Hold connections with an upload under way in each."""
    request = head("POST", upload_target(registry), Content_Type=FORM_TYPE, Content_Length="99", Expect="100-continue")
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(registry)) for _ in range(count)]
        for connection in connections:
            await connection.send(request)
            async with asyncio.timeout(60):
                await connection.reader.readuntil(b"\r\n\r\n")
        yield connections


@asynccontextmanager
async def idle(registry: Registry, count: int) -> AsyncIterator[list[RawConnection]]:
    """Hold connections that have been answered and say nothing more."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(registry)) for _ in range(count)]
        for connection in connections:
            await connection.send(LIVENESS)
            assert (await connection.answer())[0] == 200
        yield connections


class TestWithFourConnections:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_MAX_CONNECTIONS": "4", "LARDER_MAX_CONNECTIONS_PER_ADDRESS": "4"}

    async def test_the_one_that_has_waited_longest_makes_room(self, bare_registry: Registry) -> None:
        async with idle(bare_registry, 4) as connections:
            await connections[0].send(LIVENESS)
            assert (await connections[0].answer())[0] == 200
            assert (await exchange(bare_registry, LIVENESS))[0] == 200
            async with asyncio.timeout(60):
                assert await connections[1].reader.read() == b""
            for still_open in (connections[0], connections[2], connections[3]):
                await still_open.send(LIVENESS)
                assert (await still_open.answer())[0] == 200

    @pytest.mark.slow
    async def test_one_that_never_said_anything_makes_room_too(self, bare_registry: Registry) -> None:
        async with AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(connected(bare_registry)) for _ in range(4)]
            await silent[3].send(LIVENESS[:9])
            assert (await exchange(bare_registry, LIVENESS))[0] == 200
            async with asyncio.timeout(60):
                assert await silent[0].reader.read() == b""

    async def test_when_all_are_at_work_one_more_is_told_to_try_again(self, bare_registry: Registry) -> None:
        async with busy(bare_registry, 4) as uploading:
            async with connected(bare_registry) as refused:
                await refused.send(LIVENESS)
                assert await refused.answer() == REFUSED
                told = refused.heads[0].decode()
                for line in (
                    "Retry-After: 1",
                    "Connection: close",
                    "X-Content-Type-Options: nosniff",
                    "Server: larder",
                ):
                    assert f"\r\n{line}\r\n" in told
                assert "\r\nX-Request-Id: " in told
                assert await refused.reader.read() == b""
            await uploading[0].send(b"x" * 99)
            assert (await uploading[0].answer())[0] == 400
            assert (await exchange(bare_registry, LIVENESS))[0] == 200

    @pytest.mark.slow
    async def test_one_that_sends_a_whole_body_unasked_gets_to_see_that(self, bare_registry: Registry) -> None:
        async with busy(bare_registry, 4), connected(bare_registry) as refused:
            await refused.send(head("POST", "/api/v4/groups", Content_Length="1000000"))
            await refused.send(b"x" * 1_000_000)
            assert await refused.answer() == REFUSED

    @pytest.mark.slow
    async def test_closed_connections_give_their_places_back(self, bare_registry: Registry) -> None:
        for _ in range(3):
            async with busy(bare_registry, 4):
                pass
            await eventually(lambda: _is_idle(bare_registry), what="they were given up", timeout_seconds=60)
        assert (await exchange(bare_registry, LIVENESS))[0] == 200


class TestWithTwoOfOneAddress:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_MAX_CONNECTIONS_PER_ADDRESS": "2"}

    async def test_one_address_has_no_more_than_its_share(self, bare_registry: Registry) -> None:
        async with busy(bare_registry, 2):
            assert await exchange(bare_registry, LIVENESS) == REFUSED
        await eventually(lambda: _is_idle(bare_registry), what="they were given up", timeout_seconds=60)
        async with idle(bare_registry, 2) as connections:
            assert (await exchange(bare_registry, LIVENESS))[0] == 200
            async with asyncio.timeout(60):
                assert await connections[0].reader.read() == b""


class TestBehindAProxy:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_MAX_CONNECTIONS_PER_ADDRESS": "2", "LARDER_TRUSTED_PROXIES": "127.0.0.0/8"}

    @pytest.mark.slow
    async def test_the_proxy_may_have_them_all(self, bare_registry: Registry) -> None:
        async with busy(bare_registry, 5):
            assert (await exchange(bare_registry, LIVENESS))[0] == 200


class TestWithLittlePatience:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_IDLE_SECONDS": "1", "LARDER_STALL_SECONDS": "0.5"}

    async def test_a_connection_that_says_nothing_is_closed(self, bare_registry: Registry) -> None:
        async with idle(bare_registry, 1) as (answered,), connected(bare_registry) as silent:
            async with asyncio.timeout(60):
                assert await answered.reader.read() == b""
                assert await silent.reader.read() == b""

    async def test_a_head_that_does_not_come_to_its_end_is_given_up(self, bare_registry: Registry) -> None:
        async with idle(bare_registry, 1) as (connection,):
            await connection.send(LIVENESS[:-2])
            assert await connection.answer() == (408, b'{"error":"408 Request Timeout"}')
            assert await connection.reader.read() == b""

    @pytest.mark.slow
    async def test_a_line_break_is_no_head(self, bare_registry: Registry) -> None:
        async with connected(bare_registry) as connection:
            await connection.send(b"\r\n")
            async with asyncio.timeout(60):
                assert await connection.reader.read() == b""


async def _is_idle(registry: Registry) -> bool:
    return registry.lifecycle.requests_under_way == 0
