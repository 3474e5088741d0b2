"""Installers and what is yanked, archived or quarantined: passed over, taken when it is asked for, and told of."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributions import build_sdist, build_wheel, sdist_file_name, wheel_file_name
from tests.e2e.packages_api import ask, package_path
from tests.e2e.processes import LarderProcess, running_larder
from tests.e2e.shell import run_in_shell
from tests.registry_client import open_client

pytestmark = [pytest.mark.slow, pytest.mark.scaled]

REASON = 'breaks <everything> & "all" else'
WARNINGS = {
    "pip": f"Reason for being yanked: {REASON}",
    "uv": f'`demo==2.0` is yanked (reason: "{REASON}")',
}


async def publish(larder: LarderProcess, name: str, *versions: str) -> None:
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        for version in versions:
            content = build_wheel(name, version)
            await client.publish(content, file_name=wheel_file_name(name, version), name=name, version=version)


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    """Give a registry with two versions of `demo`, of which the newer is yanked."""
    with running_larder(tmp_path_factory.mktemp("yanks") / "var", {"API_PROCESSES": "1"}) as process:
        asyncio.run(publish(process, "demo", "1.0", "2.0"))
        ask(process, "PUT", f"{package_path(process, 'demo', '2.0')}/yank", {"reason": REASON})
        yield process


def install(larder: LarderProcess, tool: str, target: Path, name: str) -> subprocess.CompletedProcess[str]:
    shutil.rmtree(target, ignore_errors=True)
    scheme, _, rest = larder.url.partition("://")
    index = f"{scheme}://root:{larder.token}@{rest}/api/v4/projects/{larder.project_id}/packages/pypi/simple/"
    command = {
        "pip": "pip install --no-cache-dir",
        "uv": f"uv pip install --no-cache --python '{sys.executable}'",
    }[tool]
    return run_in_shell(f"{command} --index-url '{index}' --target '{target}' '{name}'", cwd=target.parent)


def versions(target: Path) -> dict[str, str]:
    found = (path.name.removesuffix(".dist-info").partition("-") for path in target.glob("*.dist-info"))
    return {name: version for name, _, version in found}


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Return all that was printed, without the line breaks that a narrow terminal brings."""
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_yanked_version_is_passed_over_but_taken_when_exactly_it_is_wanted(
    larder: LarderProcess, tool: str, tmp_path: Path
) -> None:
    target = tmp_path / "target"

    done = install(larder, tool, target, "demo")
    assert done.returncode == 0, told(done)
    assert versions(target) == {"demo": "1.0"}
    assert "yanked" not in told(done)

    done = install(larder, tool, target, "demo>=2.0")
    assert done.returncode != 0
    assert versions(target) == {}

    done = install(larder, tool, target, "demo==2.0")
    assert done.returncode == 0, told(done)
    assert versions(target) == {"demo": "2.0"}
    assert WARNINGS[tool] in told(done)


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_what_is_no_longer_yanked_is_installed_again(larder: LarderProcess, tool: str, tmp_path: Path) -> None:
    asyncio.run(publish(larder, f"back-{tool}", "1.0", "2.0"))
    path = package_path(larder, f"back-{tool}", "2.0")
    (file,) = ask(larder, "GET", f"{path}/package_files")
    ask(larder, "PUT", f"{path}/package_files/{file['id']}/yank")
    target = tmp_path / "target"
    assert install(larder, tool, target, f"back-{tool}").returncode == 0
    assert versions(target) == {f"back_{tool}": "1.0"}

    ask(larder, "DELETE", f"{path}/package_files/{file['id']}/yank")

    assert install(larder, tool, target, f"back-{tool}").returncode == 0
    assert versions(target) == {f"back_{tool}": "2.0"}


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_an_archived_name_is_installed_and_a_quarantined_one_is_not(
    larder: LarderProcess, tool: str, tmp_path: Path
) -> None:
    name, target = f"old-{tool}", tmp_path / "target"
    asyncio.run(publish(larder, name, "1.0"))
    status = f"/pypi/names/{name}/status"

    ask(larder, "PUT", status, {"status": "archived", "reason": REASON})
    done = install(larder, tool, target, name)
    assert done.returncode == 0, told(done)
    assert versions(target) == {name.replace("-", "_"): "1.0"}

    ask(larder, "PUT", status, {"status": "quarantined", "reason": REASON})
    done = install(larder, tool, target, name)
    assert done.returncode != 0
    assert versions(target) == {}


def test_twine_prints_that_a_name_is_archived(larder: LarderProcess, tmp_path: Path) -> None:
    asyncio.run(publish(larder, "finished", "1.0"))
    ask(larder, "PUT", "/pypi/names/finished/status", {"status": "archived"})
    sdist = tmp_path / sdist_file_name("finished", "2.0")
    sdist.write_bytes(build_sdist("finished", "2.0"))
    url = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi"
    done = run_in_shell(
        f"twine upload --verbose --repository-url {url} '{sdist}'",
        cwd=tmp_path,
        TWINE_USERNAME="root",
        TWINE_PASSWORD=larder.token,
    )
    assert done.returncode != 0
    assert "403 Forbidden - Package is archived." in told(done)
