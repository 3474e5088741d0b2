"""Other registries, open to everybody, each from an environment of its own and otherwise as it starts by itself."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.request import Request, urlopen

import aiohttp

from benchmarks.corpus import Corpus, Wheel
from benchmarks.servers.forms import form_publication
from benchmarks.servers.server import Publication, Server, spawn
from benchmarks.uploads import publish_all
from tests.e2e.environments import client_environment
from tests.e2e.processes import clean_environment
from tests.ports import free_port

_PASSWORD = "the-password-of-a-benchmark"  # noqa: S105 - of a server that lives for minutes


def start_pypiserver(stack: ExitStack, directory: Path, corpus: Corpus) -> Server:
    """Serve a directory; with its watcher it need not read that for each page."""
    port = free_port()
    files = directory / "files"
    files.mkdir(parents=True)
    for wheel in corpus.wheels:
        shutil.copyfile(wheel.path, files / wheel.file_name)
    base = f"http://127.0.0.1:{port}"
    options = ["-p", str(port), "-i", "127.0.0.1", "-P", ".", "-a", ".", "--disable-fallback", "-o"]
    command = [str(client_environment("pypiserver") / "bin" / "pypi-server"), "run", *options, str(files)]
    return _started(stack, f"{base}/simple/", directory, command, publication_url=f"{base}/")


def start_simple_repository_server(stack: ExitStack, directory: Path, corpus: Corpus) -> Server:
    """Serve a directory of a project each."""
    port = free_port()
    files = directory / "files"
    for wheel in corpus.wheels:
        place = files / wheel.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheel.path, place / wheel.file_name)
    program = client_environment("simple-repository-server") / "bin" / "simple-repository-server"
    command = [str(program), "--host", "127.0.0.1", "--port", str(port), str(files)]
    return _started(stack, f"http://127.0.0.1:{port}/simple/", directory, command)


def start_devpi(stack: ExitStack, directory: Path, corpus: Corpus) -> Server:
    """Serve an index of its own, which does not ask the public one, and upload the corpus."""
    port = free_port()
    directory.mkdir()
    programs = client_environment("devpi-server") / "bin"
    place = ["--serverdir", str(directory / "data")]
    subprocess.run(  # noqa: S603 - our own
        [programs / "devpi-init", *place, "--no-root-pypi", "--root-passwd", _PASSWORD], check=True, capture_output=True
    )
    base = f"http://127.0.0.1:{port}"
    options = ["--host", "127.0.0.1", "--port", str(port), "--enable-core-metadata", "--offline-mode"]
    command = [str(programs / "devpi-server"), *place, *options]
    server = Server(
        "devpi-server",
        f"{base}/+api",
        launch=partial(spawn, command, directory / "log", clean_environment({})),
        log=directory / "log",
    )
    server.start_within(stack)
    server.index = f"{base}/root/bench/+simple/"
    _ask("PUT", f"{base}/root/bench", {"bases": [], "volatile": True}, password=_login(base))
    basic = {"Authorization": aiohttp.encode_basic_auth("root", _PASSWORD)}
    server.publication = partial(_publication, url=f"{base}/root/bench/", index=server.index, headers=basic)
    # Those that write at once wait for each other until they are refused, on a busy machine.
    asyncio.run(publish_all(server, corpus.wheels, clients=1))
    return server


PEERS: dict[str, Callable[[ExitStack, Path, Corpus], Server]] = {
    "pypiserver": start_pypiserver,
    "devpi-server": start_devpi,
    "simple-repository-server": start_simple_repository_server,
}
"""By the name that they have in the package index and as pins."""


def _started(
    stack: ExitStack, index: str, directory: Path, command: list[str], *, publication_url: str | None = None
) -> Server:
    publication = partial(_publication, url=publication_url, index=index, headers={}) if publication_url else None
    launch = partial(spawn, command, directory / "log", clean_environment({}))
    server = Server(directory.name, index, launch=launch, log=directory / "log", publication=publication)
    server.start_within(stack)
    return server


def _publication(wheel: Wheel, *, url: str, index: str, headers: dict[str, str]) -> Publication:
    return form_publication(wheel, url, index, headers)


def _login(base: str) -> str:
    told = _ask("POST", f"{base}/+login", {"user": "root", "password": _PASSWORD})
    return str(json.loads(told)["result"]["password"])


def _ask(method: str, url: str, body: dict[str, object], *, password: str | None = None) -> bytes:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if password is not None:
        headers["X-Devpi-Auth"] = aiohttp.encode_basic_auth("root", password).removeprefix("Basic ")
    request = Request(url, json.dumps(body).encode(), headers, method=method)  # noqa: S310 - on loopback
    with urlopen(request, timeout=60) as answer:  # noqa: S310
        told: bytes = answer.read()
        return told
