"""Ways into an API process, and what is asked by them to see what somebody is told now."""

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
Told = tuple[int, Any]
"""A status, and what is compared of the body."""


class Door(Protocol):
    """A way into one API process."""

    async def ask(
        self, method: str, path: str, *, token: str | None, data: Any = None, **headers: str
    ) -> tuple[int, bytes]:
        """Send one request, as installers do; return status and body.

        Args:
            headers: with underscores for hyphens.
        """
        ...


@dataclass(frozen=True, slots=True)
class SessionDoor:
    """A way through sessions all of whose connections lead to one process.

    Args:
        free: the sessions that nobody is using.
    """

    url: str
    free: asyncio.Queue[aiohttp.ClientSession]

    @classmethod
    def of(cls, url: str, *sessions: aiohttp.ClientSession) -> "SessionDoor":
        """Return the door with these sessions, each of which serves one request at a time."""
        free: asyncio.Queue[aiohttp.ClientSession] = asyncio.Queue()
        for session in sessions:
            free.put_nowait(session)
        return cls(url, free)

    async def ask(
        self, method: str, path: str, *, token: str | None, data: Any = None, **headers: str
    ) -> tuple[int, bytes]:
        sent = {} if token is None else {"Authorization": aiohttp.encode_basic_auth("anybody", token)}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.url}{path}"
        session = await self.free.get()
        try:
            async with session.request(method, url, headers=sent, data=data, allow_redirects=False) as response:
                return response.status, await response.read()
        finally:
            self.free.put_nowait(session)


def ask_page(path: str, token: str | None) -> Callable[[Door], Awaitable[Told]]:
    async def ask(door: Door) -> Told:
        status, body = await door.ask("GET", path, token=token, Accept=SIMPLE_JSON)
        return status, {file["filename"]: bool(file["yanked"]) for file in _files(body)} if status == 200 else None

    return ask


def _files(body: bytes) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads(body)["files"]
    return files


def ask_names(path: str, token: str | None) -> Callable[[Door], Awaitable[Told]]:
    async def ask(door: Door) -> Told:
        status, body = await door.ask("GET", path, token=token, Accept="text/html")
        return status, sorted(re.findall(r">([^<]+)</a>", body.decode()))

    return ask


def ask_index(path: str, token: str | None) -> Callable[[Door], Awaitable[Told]]:
    async def ask(door: Door) -> Told:
        status, body = await door.ask("GET", path, token=token, Accept=SIMPLE_JSON)
        return status, [one["name"] for one in json.loads(body)["projects"]] if status == 200 else None

    return ask


def ask_digest(path: str, token: str | None) -> Callable[[Door], Awaitable[Told]]:
    async def ask(door: Door) -> Told:
        status, body = await door.ask("GET", path, token=token)
        return status, hashlib.sha256(body).hexdigest() if status == 200 else None

    return ask


def ask_status(path: str, token: str | None) -> Callable[[Door], Awaitable[Told]]:
    async def ask(door: Door) -> Told:
        status, _ = await door.ask("GET", path, token=token)
        return status, None

    return ask
