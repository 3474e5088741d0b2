"""A registry with something for every errand of an installer, and a directory from which one is sent."""

import asyncio
import hashlib
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.distributions import (
    build_sdist,
    build_wheel,
    core_metadata,
    sdist_file_name,
    wheel_file_name,
)
from tests.e2e.environments import ON_PYTHON_PATH
from tests.e2e.installers import Installer
from tests.e2e.packages_api import ask, package_path
from tests.e2e.processes import LarderProcess
from tests.e2e.shell import run_with
from tests.registry_client import RegistryClient, open_client
from tests.waiting import wait_for

NAMES = {"steady", "withdrawn", "choosy", "hungry", "needed", "sourced", "dated"}
WRONG = "0" * 64
_PROJECT = """[project]
name = "consumer"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = []

[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "larder"
url = "{bare_index}"
priority = "primary"

[tool.pdm]
distribution = false

[[tool.pdm.source]]
name = "pypi"
url = "{index}"
verify_ssl = true
"""


@dataclass(frozen=True, slots=True)
class Assortment:
    """What a registry offers.

    Args:
        moment: lies between the uploads of `dated` 1.0 and 2.0; a whole second.
        wheels, metadata: the bytes, by name and version: "hungry 1.0".
    """

    url: str
    token: str
    moment: datetime
    wheels: dict[str, bytes]
    metadata: dict[str, bytes]

    def index(self, userinfo: str) -> str:
        """Return the simple index with this before the host: "" or "root:secret@"."""
        scheme, rest = self.url.split("://", 1)
        return f"{scheme}://{userinfo}{rest}/api/v4/projects/1/packages/pypi/simple/"

    def send(self, installer: Installer, command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run the command in a new directory that holds a project, requirements and a netrc to be moved."""
        index, bare_index = self.index(f"root:{self.token}@"), self.index("")
        digest = hashlib.sha256(self.wheels["steady 1.0"]).hexdigest()
        host = self.url.split("://", 1)[1].partition(":")[0]
        cwd.mkdir()
        if installer.column in ("poetry", "pdm"):
            # They take it for the project's; else they would choose a Python by themselves.
            venv.create(cwd / ".venv", symlinks=True)
        for name, text in {
            "pyproject.toml": _PROJECT.format(index=index, bare_index=bare_index),
            "right.txt": f"steady==1.0 --hash=sha256:{digest}\n",
            "wrong.txt": f"steady==1.0 --hash=sha256:{WRONG}\n",
            "netrc": f"machine {host} login root password {self.token}\n",
        }.items():
            (cwd / name).write_text(text, encoding="utf-8")
        environment = {
            "INDEX": index,
            "BARE_INDEX": bare_index,
            "USER_INDEX": self.index("root@"),
            "MOMENT": self.moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "DIGEST": digest,
            "WRONG": WRONG,
            "KEPT_FOR": "root",
            "KEPT_PASSWORD": self.token,
            "PYTHONPATH": str(ON_PYTHON_PATH),
            "PYTHON_KEYRING_BACKEND": "kept_password.Keyring",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_INPUT": "1",
            "UV_NO_CACHE": "1",
            "UV_PYTHON": sys.executable,
            "POETRY_HTTP_BASIC_LARDER_USERNAME": "root",
            "POETRY_HTTP_BASIC_LARDER_PASSWORD": self.token,
            "POETRY_NO_INTERACTION": "1",
            "POETRY_VIRTUALENVS_IN_PROJECT": "1",
            "PDM_CHECK_UPDATE": "0",
        }
        return run_with(installer.tools, command, cwd=cwd, environment=environment)


def arrived(cwd: Path) -> dict[str, str]:
    """Return name and version of what of the registry was installed or downloaded below the directory."""
    places = ("target/*.dist-info", ".venv/lib/python*/site-packages/*.dist-info", "target/*.whl")
    found = (path.name.removesuffix(".dist-info").split("-")[:2] for place in places for path in cwd.glob(place))
    return {name: version for name, version in found if name in NAMES}


def bulk(size: int = 100_000) -> dict[str, bytes]:
    """Return a member by which a wheel is far larger than what is needed to read its metadata."""
    return {"bulk.bin": os.urandom(size)}


def stock(larder: LarderProcess) -> Assortment:
    """Fill the registry."""
    wheels = {f"{name} {version}": build_wheel(name, version) for name, version in _PLAIN}
    metadata = {
        "hungry 1.0": core_metadata("hungry", "1.0", requires_dist="needed"),
        "hungry 2.0": core_metadata("hungry", "2.0", requires_dist="needed>=5"),
        "needed 1.0": core_metadata("needed", "1.0"),
    }
    for both, content in metadata.items():
        wheels[both] = build_wheel(*both.split(), metadata=content, extra_files=bulk())
    wheels["choosy 1.0"] = build_wheel("choosy", "1.0", requires_python=">=3.8")
    wheels["choosy 2.0"] = build_wheel("choosy", "2.0", requires_python=">=99")
    moment = asyncio.run(_publish(larder, wheels))
    ask(larder, "PUT", f"{package_path(larder, 'withdrawn', '2.0')}/yank", {"reason": "it hurts"})
    return Assortment(larder.url, larder.token, moment, wheels, metadata)


_PLAIN = (
    ("dated", "1.0"),
    *(("steady", version) for version in ("1.0", "2.0", "3.0a1")),
    *(("withdrawn", version) for version in ("1.0", "2.0")),
)


async def _publish(larder: LarderProcess, wheels: dict[str, bytes]) -> datetime:
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        for both, content in wheels.items():
            name, version = both.split()
            await upload(client, content, wheel_file_name(name, version), name, version)
        await upload(client, build_sdist("sourced", "1.0"), sdist_file_name("sourced", "1.0"), "sourced", "1.0")
        moment = (datetime.now(UTC) + timedelta(seconds=1)).replace(microsecond=0)
        wait_for(lambda: datetime.now(UTC) > moment, what="the moment is over", timeout_seconds=60)
        await upload(client, build_wheel("dated", "2.0"), wheel_file_name("dated", "2.0"), "dated", "2.0")
    return moment


async def upload(client: RegistryClient, content: bytes, file_name: str, name: str, version: str) -> None:
    await client.publish(content, file_name=file_name, name=name, version=version)
