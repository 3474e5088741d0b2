"""Uploads that a registry in trouble must turn away at once, in clear words, and without keeping anything of them."""

import asyncio
from collections.abc import Mapping

import aiohttp

from tests.faults.ledger import Upload
from tests.faults.registry import FaultyRegistry

BODIES: Mapping[int, dict[str, str]] = {
    503: {"message": "503 Service Unavailable"},
    507: {"message": "507 Insufficient Storage"},
}


async def is_turned_away(registry: FaultyRegistry, upload: Upload, *, status: int) -> None:
    """Send an upload that must be answered with this status, after which no row and no blob has come."""
    before = await asyncio.to_thread(_possessions, registry)
    await _is_answered(registry, upload, status=status)
    registry.ledger.was_refused(upload, str(status))
    assert await asyncio.to_thread(_possessions, registry) == before


async def is_told_to_come_back(registry: FaultyRegistry, upload: Upload, *, status: int) -> None:
    """Send an upload that must be answered with this status; its blob may be left for the orphan sweep."""
    await _is_answered(registry, upload, status=status)
    registry.ledger.was_cut(upload)


async def _is_answered(registry: FaultyRegistry, upload: Upload, *, status: int) -> None:
    registry.ledger.sends(upload)
    answer = await registry.client.registry.upload(
        upload.content, file_name=upload.file_name, name=upload.name, version=upload.version
    )
    assert (answer.status, answer.body) == (status, BODIES[status])
    assert ("Retry-After" in answer.headers) == (status == 503)


async def reads_go_on(registry: FaultyRegistry, *uploads: Upload) -> None:
    """Read what was published, each time over a new connection, so that every API process is asked sooner or later."""
    for _ in range(4):
        for upload in uploads:
            async with aiohttp.ClientSession(headers=registry.client.registry.session.headers) as session:
                (link,) = [one for one in await registry.client.links(upload.name) if one.sha256 == upload.sha256]
                async with session.get(link.url) as answer:
                    assert (answer.status, await answer.read()) == (200, upload.content)
    await registry.client.packages()


def _possessions(registry: FaultyRegistry) -> tuple[set[str], set[str]]:
    rows = {row.blob_key for row in registry.directory.file_rows()}
    return rows, {blob.key for blob in registry.directory.blobs()}
