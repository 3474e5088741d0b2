"""The one place where tests poll: for what other processes do and no event tells."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

_POLL_SECONDS = 0.01
T = TypeVar("T")


def wait_for(claim: Callable[[], T], *, what: str, timeout_seconds: float) -> T:
    """Return the first true value of the claim; fail when there is none in time."""
    deadline = time.monotonic() + timeout_seconds
    while not (value := claim()):
        assert time.monotonic() < deadline, f"not within {timeout_seconds:g} seconds: {what}"
        time.sleep(_POLL_SECONDS)
    return value


async def eventually(claim: Callable[[], Awaitable[T]], *, what: str, timeout_seconds: float) -> T:
    """Return the first true value of the claim; fail when there is none in time, or when the claim hangs."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while not (value := await claim()):  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(_POLL_SECONDS)
            return value
    except TimeoutError as error:
        raise AssertionError(f"not within {timeout_seconds:g} seconds: {what}") from error
