"""Registries of different sizes: a member of a group asks for what is in a project of it, and in the group."""

import asyncio
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from benchmarks.corpus import SMALL, Corpus, small_wheel
from benchmarks.growth.bulk import add_packages, add_projects, add_tokens
from benchmarks.servers.administrator import administrator
from benchmarks.servers.forms import form_publication
from benchmarks.servers.larder import Source, start_larder
from benchmarks.servers.server import Server
from benchmarks.uploads import publish_all
from benchmarks.wrk import Read

_SEED = "seed"
_DEVELOPER = 30


@dataclass(frozen=True, slots=True)
class Size:
    """What a registry holds.

    Args:
        packages: in the project that is asked for.
        projects: in its group, each further one with a few packages.
        tokens: of the user who asks.
    """

    packages: int
    projects: int
    tokens: int


SIZES = (Size(1_000, 1, 10), Size(10_000, 100, 1_000), Size(100_000, 1_000, 10_000))


@dataclass(frozen=True, slots=True)
class GrownRegistry:
    """A registry of this size that serves.

    Args:
        reads: what is asked for, by its title.
    """

    size: Size
    server: Server
    reads: dict[str, Read]
    database: Path
    project_id: int
    group_id: int


def start_grown(
    stack: ExitStack, size: Size, directory: Path, corpus: Corpus, source: Source | None = None
) -> GrownRegistry:
    """Start a registry that has grown to this size, until the stack ends."""
    # It has rows of files that are on no disk, which a scrub would find.
    server = start_larder(
        stack, f"{size.packages} packages", directory, source=source, settings={"SCRUB_BYTES_PER_SECOND": "0"}
    )
    parts = urlsplit(server.index)
    base = f"{parts.scheme}://{parts.netloc}"
    project_id, group_id, token = asyncio.run(_settle(base))
    place = f"{base}/api/v4/projects/{project_id}/packages"
    of_group = f"{base}/api/v4/groups/{group_id}"
    server.index = f"{place}/pypi/simple/"
    server.headers = {"Authorization": aiohttp.encode_basic_auth("member", token)}
    server.publication = partial(
        form_publication, url=f"{place}/pypi/", index=server.index, headers=dict(server.headers)
    )
    seed = small_wheel(directory, _SEED, "1.0")
    asyncio.run(publish_all(server, [*corpus.small, seed]))
    database = directory / "var" / "larder.sqlite3"
    server.stop()
    with closing(sqlite3.connect(database)) as rows, rows:
        add_packages(rows, seed=_SEED, project_id=project_id, count=size.packages - 2)
        if size.projects > 1:
            add_projects(rows, seed=_SEED, project_id=project_id, count=size.projects - 1)
        add_tokens(rows, name="bench", count=size.tokens - 1)
    server.start(f"{server.index}{SMALL}/")
    private = {"PRIVATE-TOKEN": token}
    reads = {
        "project, page": Read(f"{place}/pypi/simple/{SMALL}/", server.headers),
        "project, index": Read(f"{place}/pypi/simple/", server.headers),
        "project, list of packages": Read(f"{place}?per_page=20", private),
        "project, search": Read(f"{place}?package_name=own-0005", private),
        "group, page": Read(f"{of_group}/-/packages/pypi/simple/{SMALL}/", server.headers),
        "group, index": Read(f"{of_group}/-/packages/pypi/simple/", server.headers),
        "group, list of packages": Read(f"{of_group}/packages?per_page=20", private),
        "group, search": Read(f"{of_group}/packages?package_name=own-0005", private),
    }
    return GrownRegistry(size, server, reads, database, project_id, group_id)


async def _settle(base: str) -> tuple[int, int, str]:
    """Make a private group with a project, and a developer of it; return their ids and a token."""
    async with administrator(base) as make:
        group = await make("groups", name="grown", path="grown", visibility="private")
        project = await make("projects", name="grown", path="grown", namespace_id=group["id"], visibility="private")
        user = await make("users", email="m@localhost", username="member", name="member", force_random_password=True)
        await make(f"groups/{group['id']}/members", user_id=user["id"], access_level=_DEVELOPER)
        token = await make(f"users/{user['id']}/personal_access_tokens", name="bench", scopes=["api"])
    return project["id"], group["id"], token["token"]
