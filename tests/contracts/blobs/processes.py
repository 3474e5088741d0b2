"""Starts `child.py`, listens to it, and kills it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.contracts.blobs.backends import PREMISES, Premises

PROJECT = Path(__file__).parents[3]
_PATIENCE_SECONDS = 120


class Child:
    """A running `child.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def told(self) -> dict[str, Any]:
        """Return the next thing that it tells."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE_SECONDS):
            line = await self._process.stdout.readline()
        assert line, f"the child ended with {await self._process.wait()} before it told anything"
        told: dict[str, Any] = json.loads(line)
        return told

    async def told_before_death(self) -> list[dict[str, Any]]:
        """Kill it and return all that it told and nobody has heard; a line cut short is no word."""
        assert self._process.stdout is not None
        await self.kill()
        lines = (await self._process.stdout.read()).splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def go(self) -> None:
        """Let a child go on that waits for the others."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        with suppress(ProcessLookupError):  # It may have ended by itself before anybody has waited for it.
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)  # With the command under which it runs.
        await self._process.wait()


@asynccontextmanager
async def child(verb: str, premises: Premises, *, under: tuple[str, ...] = ()) -> AsyncIterator[Child]:
    """Run a verb of `child.py` on the premises; it is killed in the end.

    Args:
        under: a command that runs the child, such as a tracer.
    """
    name = next(name for name, kind in PREMISES.items() if type(premises) is kind)
    command = (*under, sys.executable, "-m", "tests.contracts.blobs.child", verb, name, str(premises.directory))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=PROJECT, stdin=pipe, stdout=pipe, start_new_session=True
    )
    running = Child(process)
    try:
        yield running
    finally:
        await running.kill()
        assert process.stdin is not None
        process.stdin.close()
        with suppress(ConnectionError):
            await process.stdin.wait_closed()
