"""Readers that are no installers: pypi-simple parses every page, simple-repository-server passes them on."""

import asyncio
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.attestations import attestation, statement
from tests.distributions import build_sdist, build_wheel, core_metadata, sdist_file_name, wheel_file_name
from tests.e2e.environments import client_environment
from tests.e2e.packages_api import ask, package_path
from tests.e2e.processes import LarderProcess, running_larder
from tests.e2e.shell import OURS, run_in_shell, run_with
from tests.registry_client import open_client
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
REASON = 'breaks <everything> & "all" else'
WHEELS = {version: build_wheel("read", version, requires_python=">=3.8,<99") for version in ("1.0", "2.0")}
SDIST = build_sdist("read", "1.0")
ATTESTATION = attestation(statement(wheel_file_name("read", "1.0"), hashlib.sha256(WHEELS["1.0"]).hexdigest()))
RUNNING = re.compile(r"Uvicorn running on (http://\S+)")

# Printed is what it understood of every page in the one form and in the other.
PYPI_SIMPLE = """
import json, sys
from pypi_simple import ACCEPT_HTML_ONLY, ACCEPT_JSON_ONLY, PyPISimple

index, token = sys.argv[1:]
told = {}
with PyPISimple(index, auth=("root", token)) as client:
    for form, accept in (("html", ACCEPT_HTML_ONLY), ("json", ACCEPT_JSON_ONLY)):
        told[form] = pages = {}
        for project in client.get_index_page(accept=accept).projects:
            page = client.get_project_page(project, accept=accept)
            pages[project] = {
                "status": page.status,
                "reason": page.status_reason,
                "files": {
                    package.filename: {
                        "version": package.version,
                        "type": package.package_type,
                        "digests": package.digests,
                        "requires": package.requires_python or None,
                        "yanked": package.is_yanked,
                        "yanked_reason": package.yanked_reason or None,
                        "metadata": client.get_package_metadata(package) if package.has_metadata else None,
                        "provenance": client.get_provenance(package, verify=False) if package.provenance_url else None,
                    }
                    for package in page.packages
                },
            }
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    """Give a registry with `read`, of which there is everything to say, and `plain`, of which there is nothing."""
    with running_larder(tmp_path_factory.mktemp("readers") / "var", {"API_PROCESSES": "1"}) as process:
        asyncio.run(publish(process))
        ask(process, "PUT", f"{package_path(process, 'read', '2.0')}/yank", {"reason": REASON})
        ask(process, "PUT", "/pypi/names/read/status", {"status": "deprecated", "reason": REASON})
        yield process


async def publish(larder: LarderProcess) -> None:
    attested = {wheel_file_name("read", "1.0"): {"attestations": json.dumps([ATTESTATION])}}
    files = [(wheel_file_name("read", version), "read", version, wheel) for version, wheel in WHEELS.items()]
    files.append((sdist_file_name("read", "1.0"), "read", "1.0", SDIST))
    files.append((wheel_file_name("plain", "1.0"), "plain", "1.0", build_wheel("plain", "1.0")))
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        for file_name, name, version, content in files:
            fields = attested.get(file_name, {})
            await client.publish(content, file_name=file_name, name=name, version=version, **fields)


def test_pypi_simple_understands_every_page_in_both_forms(larder: LarderProcess, tmp_path: Path) -> None:
    script = tmp_path / "read.py"
    script.write_text(PYPI_SIMPLE, encoding="utf-8")

    done = run_with(
        client_environment("pypi-simple") / "bin",
        f"python {script} {larder.url}/api/v4/projects/{larder.project_id}/packages/pypi/simple/ $TOKEN",
        cwd=tmp_path,
        environment={"TOKEN": larder.token},
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["html"] == told["json"]
    plain, read = told["json"]["plain"], told["json"]["read"]
    assert (plain["status"], plain["reason"], len(plain["files"])) == (None, None, 1)
    assert (read["status"], read["reason"]) == ("deprecated", REASON)
    provenance = read["files"][wheel_file_name("read", "1.0")].pop("provenance")
    assert [bundle["attestations"] for bundle in provenance["attestation_bundles"]] == [[ATTESTATION]]
    assert read["files"] == {
        wheel_file_name("read", "1.0"): understood("1.0"),
        wheel_file_name("read", "2.0"): understood("2.0", yanked=True, yanked_reason=REASON, provenance=None),
        sdist_file_name("read", "1.0"): understood(
            "1.0", type="sdist", digests={"sha256": hashlib.sha256(SDIST).hexdigest()}, requires=None, metadata=None
        )
        | {"provenance": None},
    }


def understood(version: str, **other: Any) -> dict[str, Any]:
    """Return what is to be understood of a wheel, but for what is otherwise."""
    return {
        "version": version,
        "type": "wheel",
        "digests": {"sha256": hashlib.sha256(WHEELS[version]).hexdigest()},
        "requires": ">=3.8,<99",
        "yanked": False,
        "yanked_reason": None,
        "metadata": core_metadata("read", version, requires_python=">=3.8,<99").decode(),
    } | other


@contextmanager
def simple_repository_server(larder: LarderProcess, home: Path) -> Iterator[str]:
    """Run it in front of Larder, with the token in its netrc, and yield its simple index."""
    host = larder.url.removeprefix("http://").partition(":")[0]
    (home / ".netrc").write_text(f"machine {host} login root password {larder.token}\n", encoding="ascii")
    log = home / "log"
    tools = client_environment("simple-repository-server") / "bin"
    upstream = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi/simple/"
    options = ("--host", "127.0.0.1", "--port", "0", "--stream-http-resources")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [tools / "simple-repository-server", *options, upstream],
            env={"HOME": str(home), "PATH": str(OURS)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        (url,) = wait_for(lambda: RUNNING.findall(log.read_text("utf-8")), what="it runs", timeout_seconds=60)
        yield f"{url}/simple/"
    finally:
        process.terminate()
        process.wait(30)


def test_simple_repository_server_in_front_of_larder_serves_an_install(larder: LarderProcess, tmp_path: Path) -> None:
    with simple_repository_server(larder, tmp_path) as index:
        for tool in ("pip install --no-cache-dir", f"uv pip install --no-cache --python {sys.executable}"):
            target = tmp_path / tool.partition(" ")[0]
            done = run_in_shell(f"{tool} --target {target} --index-url {index} read plain", cwd=tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
            assert {path.name for path in target.glob("*.dist-info")} == {"plain-1.0.dist-info", "read-1.0.dist-info"}
