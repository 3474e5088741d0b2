"""`uv pip install` of packages that one of them requires, by a uv that remembers nothing."""

import base64
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.corpus import TREE, TREE_SIZE
from benchmarks.figures import Figure, Figures
from benchmarks.processes import cpu_seconds
from benchmarks.servers.server import Server


def measure_install(server: Server, directory: Path) -> Figures:
    """Install them into an empty directory; how long that took."""
    target = directory / "installed"
    command = [sys.executable, "-m", "uv", "--no-config", "--quiet", "pip", "install", "--no-cache"]
    command += ["--target", str(target), "--index-url", _with_credentials(server), f"{TREE}-00"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    pids = server.pids()
    before = cpu_seconds(pids)
    started_at = time.perf_counter()
    subprocess.run(command, env=environment, check=True)  # noqa: S603 - our own
    took = time.perf_counter() - started_at
    cpu = cpu_seconds(pids) - before
    installed = len(list(target.glob("*.dist-info")))
    assert installed == TREE_SIZE, installed
    shutil.rmtree(target)
    return {"install": Figure(took, cpu_each=cpu)}


def _with_credentials(server: Server) -> str:
    secret = _secret(server.headers)
    return server.index.replace("://", f"://{secret}@") if secret else server.index


def _secret(headers: Mapping[str, str]) -> str:
    kind, _, value = headers.get("Authorization", "").partition(" ")
    return base64.b64decode(value).decode() if kind == "Basic" else ""
