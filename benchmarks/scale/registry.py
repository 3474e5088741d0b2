"""Registries of different sizes on one PostgreSQL server: a member of a group asks for what is in a project of it."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from benchmarks.corpus import small_wheel
from benchmarks.scale.bulk import DEEP, DEEP_VERSIONS, TEAM, WIDE, Seed, Size, fill
from benchmarks.servers.administrator import administrator
from benchmarks.servers.forms import form_publication
from benchmarks.servers.larder import start_larder
from benchmarks.servers.server import Server
from benchmarks.uploads import publish_all
from benchmarks.wrk import Read
from tests.backends import PostgresqlServer

UNBOUNDED = ("page of the group of all", "list of the group of all", "search of the group of all")
"""What has to look at each of a group's projects, of which there are the more the larger the registry is."""
_SEED = "seed"
_GROUP = "scale"
_MAINTAINER = 40
"""Who may delete packages."""
# It has rows of files that are on no disk, which a scrub would find.
_SETTINGS = {"SCRUB_BYTES_PER_SECOND": "0"}


@dataclass(frozen=True, slots=True)
class ScaledRegistry:
    """A registry of this size that serves.

    Args:
        name: how its column is called.
        database: its name on the server.
        url: of that, for drivers.
        reads: what is asked for, by its title.
        place: URL of the project's packages.
        headers: of who asks the Packages API.
    """

    name: str
    size: Size
    server: Server
    database: str
    url: str
    reads: dict[str, Read]
    place: str
    project_id: int
    namespace_id: int
    headers: dict[str, str] = field(repr=False)


def start_scaled(stack: ExitStack, size: Size, directory: Path, postgresql: PostgresqlServer) -> ScaledRegistry:
    """Start a registry that has grown to this size, until the stack ends."""
    database = postgresql.create_database()
    settings = {**_SETTINGS, "DATABASE_URL": postgresql.setting(database)}
    server = start_larder(stack, f"{size.packages:,} packages", directory, settings=settings)
    parts = urlsplit(server.index)
    base = f"{parts.scheme}://{parts.netloc}"
    settled = asyncio.run(_settle(base))
    project_id, group_id = settled.project_id, settled.group_id
    place = f"{base}/api/v4/projects/{project_id}/packages"
    server.index = f"{place}/pypi/simple/"
    server.headers = {"Authorization": aiohttp.encode_basic_auth("member", settled.token)}
    server.publication = partial(
        form_publication, url=f"{place}/pypi/", index=server.index, headers=dict(server.headers)
    )
    asyncio.run(publish_all(server, [small_wheel(directory, _SEED, "1.0")]))
    server.stop()
    url = postgresql.url(database)
    app_id = asyncio.run(_fill(url, size, Seed(_SEED, project_id, settled.team_id)))
    server.start(f"{server.index}{_SEED}/")
    headers = {"PRIVATE-TOKEN": settled.token}
    team, group = (f"{base}/api/v4/groups/{one}" for one in (settled.team_id, group_id))
    reads = {
        "page": Read(f"{server.index}{WIDE}-000007/", server.headers),
        f"page of {DEEP_VERSIONS} versions": Read(f"{server.index}{DEEP}/", server.headers),
        "page of a group": Read(f"{team}/-/packages/pypi/simple/{TEAM}-{app_id}-7/", server.headers),
        UNBOUNDED[0]: Read(f"{group}/-/packages/pypi/simple/{TEAM}-{app_id}-7/", server.headers),
        "list": Read(f"{place}?per_page=20", headers),
        "list by name": Read(f"{place}?per_page=20&order_by=name&sort=asc", headers),
        "list by version": Read(f"{place}?per_page=20&order_by=version", headers),
        "list of a group": Read(f"{team}/packages?per_page=20", headers),
        UNBOUNDED[1]: Read(f"{group}/packages?per_page=20", headers),
        "search": Read(f"{place}?package_name={WIDE}-000123", headers),
        "search of a group": Read(f"{team}/packages?package_name={TEAM}-{app_id}-7", headers),
        UNBOUNDED[2]: Read(f"{group}/packages?package_name={TEAM}-{app_id}-7", headers),
    }
    return ScaledRegistry(
        name=server.name,
        size=size,
        server=server,
        database=database,
        url=url,
        reads=reads,
        place=place,
        project_id=project_id,
        namespace_id=group_id,
        headers=headers,
    )


async def _fill(url: str, size: Size, seed: Seed) -> int:
    database = await asyncpg.connect(url)
    try:
        return await fill(database, size, seed)
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class _Settled:
    group_id: int
    team_id: int
    project_id: int
    token: str = field(repr=False)


async def _settle(base: str) -> _Settled:
    """Make a private group with a project and a subgroup, and a maintainer of it."""
    own = {"visibility": "private"}
    async with administrator(base) as make:
        group = await make("groups", name=_GROUP, path=_GROUP, **own)
        team = await make("groups", name=f"{TEAM}-1", path=f"{TEAM}-1", parent_id=group["id"], **own)
        project = await make("projects", name=WIDE, path=WIDE, namespace_id=group["id"], **own)
        user = await make("users", email="m@localhost", username="member", name="member", force_random_password=True)
        await make(f"groups/{group['id']}/members", user_id=user["id"], access_level=_MAINTAINER)
        token = await make(f"users/{user['id']}/personal_access_tokens", name="bench", scopes=["api"])
    return _Settled(group["id"], team["id"], project["id"], token["token"])
