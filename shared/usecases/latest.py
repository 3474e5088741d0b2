"""What many want to know, looked up for all of them at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """An answer that is asked for anew when it is too old, by one at a time; those who wait for it share it.

    Its age counts from its end: those who waited for one that took long would else each ask again.

    Args:
        ask: looks it up.
        most_seconds: tells how old it may be.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], *, most_seconds: Callable[[], float]) -> None:
        self._ask = ask
        self._most_seconds = most_seconds
        self._asking = asyncio.Lock()
        self._answer: tuple[float, T] | None = None

    async def __call__(self) -> T:
        """Return the answer. Raises what `ask` raises."""
        async with self._asking:
            clock = asyncio.get_running_loop().time
            if self._answer is None or clock() - self._answer[0] >= self._most_seconds():
                answer = await self._ask()
                self._answer = (clock(), answer)
            return self._answer[1]
