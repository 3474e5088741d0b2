"""Failed authentications are counted by all processes together, for a minute, and never stand in anybody's way."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

import pytest
import structlog

from shared.errors import SettingsInvalid
from shared.ports.failed_attempts import FailedAttempts
from shared.queue.failed_attempts import open_failed_attempts
from tests.contracts.queue.workers import redis_of, until
from tests.redis_server import RedisServer, new_redis_server

T = TypeVar("T")

LIMIT = 3
_LONGEST_NOTE_SECONDS = 5.0
_PATIENCE_SECONDS = 30.0
"""For a note that is to be counted, on a busy machine."""
ALICE, BOB = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("192.0.2.2")
KEY_OF_ALICE = "larder:auth-failures:192.0.2.1"


@dataclass(slots=True)
class Clock:
    """Goes when it is told to."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def attempts(redis_server: RedisServer, clock: Clock) -> AsyncIterator[FailedAttempts]:
    """Give the count of one process."""
    async with open_failed_attempts(redis_server.url, limit=LIMIT, now=clock, note_seconds=_PATIENCE_SECONDS) as opened:
        yield opened


@pytest.fixture
async def other_attempts(redis_server: RedisServer, clock: Clock) -> AsyncIterator[FailedAttempts]:
    """Give the count of another process."""
    async with open_failed_attempts(redis_server.url, limit=LIMIT, now=clock, note_seconds=_PATIENCE_SECONDS) as opened:
        yield opened


async def fail(attempts: FailedAttempts, address: str = "192.0.2.1", *, times: int = LIMIT) -> list[bool]:
    """Say of each failure whether it led to a block."""
    return [await attempts.note(ipaddress.ip_address(address)) > 0 for _ in range(times)]


async def test_as_many_failures_as_the_limit_block_nobody(attempts: FailedAttempts) -> None:
    assert await fail(attempts) == [False] * LIMIT
    assert attempts.seconds_blocked(ALICE) == 0.0


async def test_one_more_blocks_the_client_for_the_rest_of_the_minute_and_nobody_else(attempts: FailedAttempts) -> None:
    await fail(attempts)

    blocked_seconds = await attempts.note(ALICE)

    assert 30 < blocked_seconds <= 60
    assert attempts.seconds_blocked(ALICE) == pytest.approx(blocked_seconds)
    assert attempts.seconds_blocked(BOB) == 0.0
    assert await fail(attempts, str(BOB)) == [False] * LIMIT


async def test_the_minute_begins_with_the_first_failure(attempts: FailedAttempts, redis_server: RedisServer) -> None:
    async with redis_of(redis_server) as redis:
        await attempts.note(ALICE)
        assert 30_000 < await redis.pttl(KEY_OF_ALICE) <= 60_000
        await redis.pexpire(KEY_OF_ALICE, 27_000)

        await fail(attempts, times=LIMIT - 1)

        assert 0 < await attempts.note(ALICE) <= 27


async def test_a_block_ends_by_itself_and_a_new_minute_begins(
    attempts: FailedAttempts, redis_server: RedisServer, clock: Clock
) -> None:
    await fail(attempts)
    blocked_seconds = await attempts.note(ALICE)

    clock.seconds += blocked_seconds - 0.5
    assert attempts.seconds_blocked(ALICE) == pytest.approx(0.5)
    clock.seconds += 0.5
    assert attempts.seconds_blocked(ALICE) == 0.0

    async with redis_of(redis_server) as redis:
        await redis.delete(KEY_OF_ALICE)  # Its time is over for Redis, too.
    assert await fail(attempts) == [False] * LIMIT


async def test_all_processes_count_together(attempts: FailedAttempts, other_attempts: FailedAttempts) -> None:
    await fail(attempts)

    assert other_attempts.seconds_blocked(ALICE) == 0.0
    assert await other_attempts.note(ALICE) > 30
    assert await attempts.note(ALICE) > 30
    assert min(attempts.seconds_blocked(ALICE), other_attempts.seconds_blocked(ALICE)) > 30


async def test_failures_at_the_same_time_are_all_counted(redis_server: RedisServer) -> None:
    async with open_failed_attempts(redis_server.url, limit=LIMIT, note_seconds=_PATIENCE_SECONDS) as attempts:
        blocked_seconds = await asyncio.gather(*(attempts.note(ALICE) for _ in range(40)))

    assert sum(seconds == 0.0 for seconds in blocked_seconds) == LIMIT
    async with redis_of(redis_server) as redis:
        assert 0 < await redis.pttl(KEY_OF_ALICE) <= 60_000


async def test_what_fails_while_the_client_is_blocked_is_not_carried_to_redis(
    attempts: FailedAttempts, redis_server: RedisServer
) -> None:
    await fail(attempts, times=20)

    async with redis_of(redis_server) as redis:
        assert await redis.get(KEY_OF_ALICE) == b"4"


async def test_a_client_of_ipv6_is_its_64(attempts: FailedAttempts) -> None:
    failed = [await fail(attempts, f"2001:db8:0:1::{host:x}", times=1) for host in range(LIMIT + 1)]

    assert failed == [[False]] * LIMIT + [[True]]
    assert attempts.seconds_blocked(ipaddress.ip_address("2001:db8:0:1:ffff::")) > 0
    assert attempts.seconds_blocked(ipaddress.ip_address("2001:db8:0:2::")) == 0.0


async def test_no_more_blocks_are_remembered_than_there_is_room_for(redis_server: RedisServer, clock: Clock) -> None:
    async with open_failed_attempts(redis_server.url, limit=1, now=clock, most_blocked=2) as attempts:
        for host in range(4):
            await fail(attempts, f"192.0.2.{host}", times=2)

        def blocked() -> list[int]:
            return [host for host in range(4) if attempts.seconds_blocked(ipaddress.ip_address(f"192.0.2.{host}")) > 0]

        assert blocked() == [2, 3]
        # One that was forgotten is still counted.
        assert await fail(attempts, "192.0.2.0", times=1) == [True]
        assert blocked() == [0, 3]


async def test_a_block_is_told_to_the_operator_once(attempts: FailedAttempts) -> None:
    with structlog.testing.capture_logs() as logs:
        await fail(attempts, times=LIMIT + 5)

    [entry] = logs
    assert (entry["event"], entry["client"], entry["log_level"]) == ("auth.client_blocked", "192.0.2.1", "warning")
    assert 30 < entry["seconds"] <= 60


async def test_with_redis_away_nobody_is_blocked_nor_waits_for_long(
    attempts: FailedAttempts, redis_server: RedisServer
) -> None:
    await fail(attempts)
    await redis_server.kill()

    assert await _quickly(fail(attempts)) == [False] * LIMIT
    assert attempts.seconds_blocked(ALICE) == 0.0

    await redis_server.start()
    assert (await fail(attempts, times=LIMIT + 1))[-1]


async def test_a_redis_that_hangs_blocks_nobody_and_is_not_waited_for(redis_server: RedisServer, clock: Clock) -> None:
    async with open_failed_attempts(redis_server.url, limit=LIMIT, now=clock) as attempts:
        await fail(attempts, times=1)
        redis_server.freeze()

        assert await _quickly(attempts.note(ALICE)) == 0.0
        # However many there are.
        assert set(await _quickly(asyncio.gather(*(attempts.note(BOB) for _ in range(100))))) == {0.0}

        redis_server.thaw()

        async def is_blocked() -> bool:
            return (await fail(attempts, times=LIMIT + 1))[-1]

        await until(is_blocked)


async def test_who_is_blocked_stays_so_when_redis_goes_away(
    attempts: FailedAttempts, redis_server: RedisServer
) -> None:
    await fail(attempts, times=LIMIT + 1)
    await redis_server.kill()

    assert attempts.seconds_blocked(ALICE) > 30
    assert await attempts.note(ALICE) > 30


async def test_a_redis_that_never_was_or_has_no_room_blocks_nobody() -> None:
    async with (
        new_redis_server(options=("maxmemory 1",)) as server,
        open_failed_attempts(server.url, limit=1) as attempts,
    ):
        assert await fail(attempts) == [False] * LIMIT
        await server.start()
        assert await fail(attempts) == [False] * LIMIT


async def test_a_wrong_password_blocks_nobody_and_is_not_told(
    redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_failed_attempts(f"{redis_server.url}?password=hunter22&username=nobody", limit=1) as attempts:
        assert await fail(attempts) == [False] * LIMIT

    told = capsys.readouterr()
    assert "hunter22" not in told.out + told.err


async def test_a_url_that_is_not_that_of_a_redis_is_refused() -> None:
    with pytest.raises(SettingsInvalid):
        async with open_failed_attempts("http://:hunter22@localhost", limit=1):
            pass


async def _quickly(call: Awaitable[T]) -> T:
    began = time.monotonic()
    answer = await call
    assert time.monotonic() - began < _LONGEST_NOTE_SECONDS
    return answer
