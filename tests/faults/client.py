"""What workload clients and the checker say to a registry: once, without trying again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from tests.registry_client import RegistryClient, open_client

_HTML = "application/vnd.pypi.simple.v1+html"
_PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Link:
    """A file as a simple page shows it."""

    file_name: str
    url: str
    sha256: str
    is_yanked: bool


@dataclass(frozen=True, slots=True)
class FaultClient:
    """Speaks to one project of a registry.

    Args:
        registry: its uploads, pages and downloads.
    """

    registry: RegistryClient
    token: str

    async def links(self, name: str) -> list[Link]:
        """Return the files of the JSON page, in its order; none when there is no page."""
        page = await self.registry.page(name)
        return [
            Link(file["filename"], file["url"].partition("#")[0], file["hashes"]["sha256"], file["yanked"] is not False)
            for file in (page["files"] if page else [])
        ]

    async def html_links(self, name: str) -> list[Link]:
        """Return the files of the HTML page, in its order; none when there is no page."""
        url = f"{self._project}/packages/pypi/simple/{name}/"
        async with self.registry.session.get(url, headers={"Accept": _HTML}) as answer:
            if answer.status == 404:
                return []
            answer.raise_for_status()
            anchors = _Anchors()
            anchors.feed(await answer.text())
        return anchors.links

    async def packages(self, **filters: str) -> list[dict[str, Any]]:
        """Return all packages of the list, page by page."""
        found: list[dict[str, Any]] = []
        number = 1
        while True:
            query = {"per_page": str(_PER_PAGE), "page": str(number), **filters}
            async with self.registry.session.get(
                f"{self._project}/packages", params=query, headers=self._head
            ) as answer:
                answer.raise_for_status()
                page = await answer.json()
            found += page
            if len(page) < _PER_PAGE:
                return found
            number += 1

    async def package_id(self, name: str, version: str) -> int | None:
        """Return the id of a package that is shown; None when none is."""
        found = await self.packages(package_name=name)
        return next((one["id"] for one in found if (one["name"], one["version"]) == (name, version)), None)

    async def file_id(self, package_id: int, file_name: str) -> int | None:
        """Return the id of a file of a package; None when it has none of this name."""
        url = f"{self._project}/packages/{package_id}/package_files"
        async with self.registry.session.get(url, headers=self._head) as answer:
            if answer.status == 404:
                return None
            answer.raise_for_status()
            files = await answer.json()
        return next((file["id"] for file in files if file["file_name"] == file_name), None)

    async def delete_package(self, package_id: int) -> int:
        """Ask for the delete of a package, and return the status."""
        return await self._send("DELETE", f"packages/{package_id}")

    async def delete_file(self, package_id: int, file_id: int) -> int:
        """Ask for the delete of a file, and return the status."""
        return await self._send("DELETE", f"packages/{package_id}/package_files/{file_id}")

    async def yank_file(self, package_id: int, file_id: int, *, to: bool) -> int:
        """Ask that a file be yanked, or that this be taken back, and return the status."""
        return await self._send("PUT" if to else "DELETE", f"packages/{package_id}/package_files/{file_id}/yank")

    async def _send(self, method: str, path: str) -> int:
        async with self.registry.session.request(method, f"{self._project}/{path}", headers=self._head) as answer:
            await answer.read()
            return answer.status

    @property
    def _head(self) -> dict[str, str]:
        return {"PRIVATE-TOKEN": self.token}

    @property
    def _project(self) -> str:
        return f"{self.registry.url}/api/v4/projects/{self.registry.project_id}"


@asynccontextmanager
async def open_fault_client(url: str, token: str, project_id: int) -> AsyncIterator[FaultClient]:
    """Open a client with connections of its own."""
    async with open_client(url, token, project_id) as registry:
        yield FaultClient(registry, token)


class _Anchors(HTMLParser):
    """Reads the links of a simple page as installers do."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[Link] = []
        self._attributes: dict[str, str | None] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._attributes = dict(attrs)

    def handle_data(self, data: str) -> None:
        if self._attributes is not None:
            url, _, fragment = (self._attributes.get("href") or "").partition("#")
            self.links.append(Link(data, url, fragment.removeprefix("sha256="), "data-yanked" in self._attributes))
            self._attributes = None
