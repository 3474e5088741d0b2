"""What the administrator of a registry makes before it is measured: groups, projects, users and tokens."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from benchmarks.servers.larder import TOKEN
from benchmarks.wire import Connection, request_head


class Make(Protocol):
    """Makes something of these fields, and returns how the registry shows it."""

    async def __call__(self, what: str, **fields: object) -> dict[str, Any]:
        """Send it to `/api/v4/<what>`."""
        ...


@asynccontextmanager
async def administrator(base: str) -> AsyncIterator[Make]:
    """Connect to the registry at this URL as its administrator."""
    connection = Connection(base)

    async def make(what: str, **fields: object) -> dict[str, Any]:
        body = json.dumps(fields).encode()
        headers = {"PRIVATE-TOKEN": TOKEN, "Content-Type": "application/json", "Content-Length": str(len(body))}
        told = await connection.ask(request_head("POST", f"{base}/api/v4/{what}", headers) + body)
        assert told.status == 201, (what, told)
        made: dict[str, Any] = json.loads(told.body)
        return made

    try:
        yield make
    finally:
        await connection.close()
