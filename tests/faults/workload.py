"""Clients that work while faults strike, try again as real ones do, and note in the ledger what they were told."""

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from tests.distributions import build_sdist, build_wheel, core_metadata, sdist_file_name, wheel_file_name
from tests.faults.client import FaultClient, Link
from tests.faults.data_directory import DataDirectory
from tests.faults.ledger import Ledger, Upload
from tests.waiting import eventually

PATIENCE_SECONDS = 300.0
"""For how long a client tries again: a registry that is restarted on a busy machine, and more."""
_RETRY_PAUSE_SECONDS = 0.05
_BROKEN = (aiohttp.ClientError, TimeoutError, ConnectionError)
_DELETED = (204, 404)
"""404: an earlier try was cut off after it was done. Where that is a lie, the checker finds what should be gone."""
_YANKED = (200, 204)
T = TypeVar("T")


def wheel(name: str, version: str, *, content: bytes = b"") -> Upload:
    """Return a wheel to upload.

    Args:
        content: of a file in it, so that two of one version can differ.
    """
    return Upload(
        name, version, wheel_file_name(name, version), build_wheel(name, version, extra_files={"data": content})
    )


def broken_wheel(name: str, version: str) -> Upload:
    """Return a wheel that the worker refuses, because its metadata are those of another version."""
    content = build_wheel(name, version, metadata=core_metadata(name, f"{version}.1"))
    return Upload(name, version, wheel_file_name(name, version), content)


def sdist(name: str, version: str, *, content: bytes = b"") -> Upload:
    """Return an sdist to upload."""
    return Upload(
        name, version, sdist_file_name(name, version), build_sdist(name, version, extra_files={"data": content})
    )


@dataclass(frozen=True, slots=True)
class Owner:
    """A client that alone changes its files. Each of its calls ends with a final answer, however often it must ask."""

    client: FaultClient
    ledger: Ledger

    async def publish(self, upload: Upload) -> int:
        """Upload the file until there is a final answer, and return its status: 201 or 202."""
        status = await _until_answered(lambda: self.send(upload), what=f"an answer to {upload.file_name}")
        if status not in (201, 202):
            self.ledger.wrong.append(f"{upload.file_name} was refused: {self.ledger.refused[upload.file_name]}")
        return status

    async def publish_refused(self, upload: Upload) -> int:
        """Upload a file that must be refused, until there is a final answer."""
        status = await _until_answered(lambda: self.send(upload), what=f"an answer to {upload.file_name}")
        if status == 202:
            self.ledger.will_be_refused(upload)
        elif status == 201:
            self.ledger.wrong.append(f"{upload.file_name} was taken")
        return status

    async def send(self, upload: Upload) -> int | None:
        """Upload the file once, and return the status; None when there was no final answer."""
        self.ledger.sends(upload)
        try:
            answer = await self.client.registry.upload(
                upload.content, file_name=upload.file_name, name=upload.name, version=upload.version
            )
        except _BROKEN:
            self.ledger.was_cut(upload)
            return None
        match answer.status:
            case 201 | 202:
                self.ledger.published(upload, is_accepted=answer.status == 202)
            case status if status >= 500:
                self.ledger.was_cut(upload)
                return None
            case _:
                self.ledger.was_refused(upload, str(answer.body))
        return answer.status

    async def delete_package(self, name: str, version: str, file_names: list[str]) -> int:
        """Delete a package that is shown, with these files, and return the id that it had."""
        package_id = await self._ask(lambda: self.client.package_id(name, version), what=f"the id of {name} {version}")
        self.ledger.deletes(file_names)
        if await self._change(
            lambda: self.client.delete_package(package_id), f"the delete of {name} {version}", done=_DELETED
        ):
            self.ledger.deleted(file_names)
        return package_id

    async def delete_file(self, name: str, version: str, file_name: str) -> None:
        """Delete one file that is shown."""
        package_id, file_id = await self._ids(name, version, file_name)
        self.ledger.deletes([file_name])
        if await self._change(
            lambda: self.client.delete_file(package_id, file_id), f"the delete of {file_name}", done=_DELETED
        ):
            self.ledger.deleted([file_name])

    async def yank(self, name: str, version: str, file_name: str, *, to: bool) -> None:
        """Yank one file that is shown, or take that back."""
        package_id, file_id = await self._ids(name, version, file_name)
        self.ledger.yanks(file_name, to=to)
        if await self._change(
            lambda: self.client.yank_file(package_id, file_id, to=to), f"the yank of {file_name}", done=_YANKED
        ):
            self.ledger.yanked(file_name, to=to)

    async def wait_until_installable(self, upload: Upload, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return when the file is on its page and downloads."""

        async def is_installable() -> bool | None:
            links = await self.client.links(upload.name)
            link = next((one for one in links if one.file_name == upload.file_name), None)
            return (link is not None and await self.client.registry.download(link.url) == upload.content) or None

        await _until_answered(is_installable, what=f"{upload.file_name} is there", timeout_seconds=timeout_seconds)

    async def wait_until_destroyed(
        self, file_name: str, directory: DataDirectory, *, timeout_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Return when no row has this name any more: its blob went before it."""

        async def is_gone() -> bool:
            rows = await asyncio.to_thread(directory.file_rows)
            return all(row.file_name != file_name for row in rows)

        await eventually(is_gone, what=f"{file_name} is destroyed", timeout_seconds=timeout_seconds)

    async def _ids(self, name: str, version: str, file_name: str) -> tuple[int, int]:
        package_id = await self._ask(lambda: self.client.package_id(name, version), what=f"the id of {name} {version}")
        file_id = await self._ask(lambda: self.client.file_id(package_id, file_name), what=f"the id of {file_name}")
        return package_id, file_id

    async def _ask(self, ask: Callable[[], Awaitable[T | None]], *, what: str) -> T:
        return await _until_answered(ask, what=what)

    async def _change(self, send: Callable[[], Awaitable[int]], what: str, *, done: tuple[int, ...]) -> bool:
        """Send a change until there is a final answer; return whether it is done."""

        async def send_once() -> int | None:
            status = await send()
            return status if status < 500 else None

        status = await _until_answered(send_once, what=what)
        if status not in done:
            self.ledger.wrong.append(f"{what} was answered {status}")
        return status in done


@dataclass(frozen=True, slots=True)
class Reader:
    """A client that reads what others publish, and notes what it finds wrong."""

    client: FaultClient
    ledger: Ledger

    async def install(self, name: str) -> None:
        """Follow all links of a page: each leads to its bytes, unless its delete was sent before the download ended."""
        for link in await _until_answered(lambda: self.client.links(name), what=f"the page of {name}"):
            await self._download(link)

    async def _download(self, link: Link) -> None:
        async def fetch() -> tuple[int, bytes]:
            async with self.client.registry.session.get(link.url) as answer:
                return answer.status, await answer.read()

        status, content = await _until_answered(fetch, what=f"an answer to {link.url}")
        if status == 200:
            if hashlib.sha256(content).hexdigest() != link.sha256:
                self.ledger.wrong.append(f"{link.file_name} came with other bytes")
        elif not self.ledger.may_be_gone(link.file_name, link.sha256):
            self.ledger.wrong.append(f"{link.file_name} is listed and answered {status}")

    async def list(self) -> None:
        """Read the index and the list of packages."""
        await _until_answered(self.client.registry.names, what="the index")
        await _until_answered(self.client.packages, what="the list of packages")


async def pause(seconds: float) -> None:
    """Let time pass between two blows, or two tries; nothing is waited for."""
    await asyncio.to_thread(threading.Event().wait, seconds)


async def _until_answered(
    ask: Callable[[], Awaitable[T | None]], *, what: str, timeout_seconds: float = PATIENCE_SECONDS
) -> T:
    """Ask until something else than None comes back, or a broken connection."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                try:
                    answer = await ask()
                except _BROKEN:
                    answer = None
                if answer is not None:
                    return answer
                await pause(_RETRY_PAUSE_SECONDS)
    except TimeoutError as error:
        raise AssertionError(f"not within {timeout_seconds:g} seconds: {what}") from error
