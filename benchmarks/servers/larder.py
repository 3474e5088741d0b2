"""Larder as `make run` has it: all defaults, its access log written, a private project, a token as Basic password."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.request import Request, urlopen

import aiohttp

from benchmarks.corpus import Corpus, Wheel
from benchmarks.servers.forms import form_publication
from benchmarks.servers.server import Publication, Server, spawn
from benchmarks.uploads import publish_all
from tests.backends import new_postgresql_server
from tests.e2e.environments import environment_of
from tests.e2e.processes import SOURCE, clean_environment
from tests.ports import free_port

TOKEN = "the-token-of-a-benchmark"  # noqa: S105 - of a registry that lives for minutes
HEADERS = {"Authorization": aiohttp.encode_basic_auth("root", TOKEN)}
_POSTGRESQL_SETTINGS = {"listen_addresses": "", "shared_buffers": "128MB", "max_connections": "100"}
"""Nothing that makes it forget what it acknowledged."""


@dataclass(frozen=True, slots=True)
class Source:
    """A checkout of Larder whose code runs.

    Args:
        python: of an environment with what that code needs.
    """

    directory: Path
    python: str


LOCK = "requirements.lock"


@cache
def our_source() -> Source:
    """Return what is checked out here, with all that was changed."""
    return Source(SOURCE, python_of("larder", SOURCE / LOCK))


def python_of(name: str, lock: Path) -> str:
    """Return the Python of an environment as `make run` has it, without what only tests need beside it."""
    environment = environment_of(name, lock)
    redis = environment / "share" / "larder"
    if not redis.exists():
        # The one that was fetched for the tests serves them all.
        redis.parent.mkdir(exist_ok=True)
        redis.symlink_to(Path(sys.prefix) / "share" / "larder")
    return str(environment / "bin" / "python")


def start_larder(
    stack: ExitStack,
    name: str,
    directory: Path,
    *,
    source: Source | None = None,
    settings: Mapping[str, str] | None = None,
    elsewhere: Callable[[], Sequence[int]] = tuple,
) -> Server:
    """Start it with an empty data directory, until the stack ends.

    Args:
        source: None: what is checked out here.
        settings: LARDER_* beyond what `make run` has: `{"DATABASE_URL": ...}`.
    """
    source = source or our_source()
    directory.mkdir()
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    values = {"PORT": str(port), "DATA_DIR": str(directory / "var"), "ROOT_TOKEN": TOKEN, **(settings or {})}
    environment = clean_environment(values) | {"PYTHONPATH": str(source.directory)}
    command = [source.python, "-P", "-m", "services.cli", "serve"]
    server = Server(
        name,
        index=base,
        launch=partial(spawn, command, directory / "log", environment),
        log=directory / "log",
        headers=HEADERS,
        measured=("larder api", "larder worker"),
        elsewhere=lambda: list(elsewhere()),
    )
    server.start_within(stack, f"{base}/-/readiness")
    place = f"{base}/api/v4/projects/{_first_project(base)}/packages/pypi"
    server.index = f"{place}/simple/"
    server.publication = partial(_publication, url=f"{place}/", index=server.index)
    return server


def start_larder_on_postgresql(stack: ExitStack, name: str, directory: Path, settings: Mapping[str, str]) -> Server:
    """Start it and a database server, until the stack ends."""
    database = stack.enter_context(new_postgresql_server(_POSTGRESQL_SETTINGS))
    # A socket needs no host; a setting does.
    url = database.url(database.create_database()).replace("@/", "@localhost/")
    return start_larder(
        stack, name, directory, settings={**settings, "DATABASE_URL": url}, elsewhere=lambda: [database.pid]
    )


def fill(server: Server, corpus: Corpus) -> None:
    """Upload the corpus."""
    asyncio.run(publish_all(server, corpus.wheels))


def _publication(wheel: Wheel, *, url: str, index: str) -> Publication:
    return form_publication(wheel, url, index, HEADERS)


def _first_project(base: str) -> int:
    request = Request(f"{base}/api/v4/projects/root%2Fpackages", headers={"PRIVATE-TOKEN": TOKEN})  # noqa: S310
    with urlopen(request, timeout=60) as answer:  # noqa: S310
        return int(json.loads(answer.read())["id"])
