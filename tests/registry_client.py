"""A small asynchronous client for tests: what an uploader and an installer say to a registry, and nothing more."""

import hashlib
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.waiting import eventually

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_VERDICT_SECONDS = 120.0
_PATIENCE = aiohttp.ClientTimeout(total=120)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, its JSON body, and its headers."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegistryClient:
    """Speaks to one project of a registry as the owner of a token."""

    session: aiohttp.ClientSession
    url: str
    project_id: int

    async def upload(self, content: bytes, *, file_name: str, name: str, version: str, **fields: str) -> Answer:
        """Upload one file in the order in which twine sends its fields: the file last. Empty ones are not sent."""
        form = aiohttp.FormData(quote_fields=False)
        declared = {"name": name, "version": version, "sha256_digest": hashlib.sha256(content).hexdigest(), **fields}
        for key, value in declared.items():
            if value:
                form.add_field(key, value)
        form.add_field("content", io.BytesIO(content), filename=file_name, content_type="application/octet-stream")
        async with self.session.post(f"{self._pypi}/", data=form) as response:
            return Answer(response.status, await response.json(), response.headers)

    async def publish(self, content: bytes, *, file_name: str, name: str, version: str, **fields: str) -> None:
        """Upload one file, and return when it is on its page: on a busy machine that may be after the answer."""
        answer = await self.upload(content, file_name=file_name, name=name, version=version, **fields)
        assert answer.status in (201, 202), answer
        await self.wait_until_listed(name, file_name)

    async def wait_until_listed(self, name: str, file_name: str) -> None:
        """Return when the file is on the page of the name."""

        async def is_listed() -> bool:
            page = await self.page(name)
            return page is not None and file_name in (file["filename"] for file in page["files"])

        await eventually(is_listed, what=f"{file_name} is on its page", timeout_seconds=_VERDICT_SECONDS)

    async def page(self, name: str) -> dict[str, Any] | None:
        """Return the simple page of the name as JSON; None when there is no such page."""
        async with self.session.get(f"{self._pypi}/simple/{name}/", headers={"Accept": SIMPLE_JSON}) as response:
            if response.status == 404:
                return None
            response.raise_for_status()
            page: dict[str, Any] = await response.json(content_type=SIMPLE_JSON)
            return page

    async def names(self) -> list[str]:
        """Return the names of the simple index."""
        async with self.session.get(f"{self._pypi}/simple/", headers={"Accept": SIMPLE_JSON}) as response:
            response.raise_for_status()
            return [project["name"] for project in (await response.json(content_type=SIMPLE_JSON))["projects"]]

    async def download(self, url: str) -> bytes:
        """Return the bytes behind a link of a page."""
        async with self.session.get(url.partition("#")[0]) as response:
            response.raise_for_status()
            return await response.read()

    @property
    def _pypi(self) -> str:
        return f"{self.url}/api/v4/projects/{self.project_id}/packages/pypi"


@asynccontextmanager
async def open_client(
    url: str, token: str, project_id: int, *, username: str = "root"
) -> AsyncIterator[RegistryClient]:
    """Open a client that signs in with Basic credentials, as installers and uploaders do."""
    headers = {"Authorization": aiohttp.encode_basic_auth(username, token)}
    async with aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as session:
        yield RegistryClient(session=session, url=url, project_id=project_id)
