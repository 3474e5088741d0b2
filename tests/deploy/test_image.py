"""The image: its recipe is linted, and its steps are taken outside of a container."""

import asyncio
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.standalone.redis_binary import find_redis_server
from tests.deploy.manifests import DEPLOY, run_tool
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess, start_larder
from tests.registry_client import open_client

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else and mount what is read-only"),
]

DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
_AS_A_STRANGER = """
unset PYTHONPATH
mount --bind "$TREE" "$TREE"
mount -o remount,bind,ro "$TREE"
# The interpreter itself may be in somebody's private directory, which an image has none of.
if [ -n "$PRIVATE" ]; then
    mkdir "$TREE.python"
    mount --bind "$INTERPRETER" "$TREE.python"
    mount -t tmpfs -o mode=755 tmpfs "$PRIVATE"
    mkdir -p "$INTERPRETER"
    mount --bind "$TREE.python" "$INTERPRETER"
fi
exec setpriv --reuid "$OWNER" --regid "$OWNER" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Return a directory that everybody may enter."""
    directory = Path(tempfile.mkdtemp(prefix="larder-image-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def installed(place: Path) -> Path:
    """Return an environment that was made as the image makes its own, with a Redis server where Debian has one."""
    prefix = place / "larder"
    [arguments] = re.findall(r"^RUN (deploy/install\.sh) /opt/larder python3$", DOCKERFILE, re.MULTILINE)
    done = subprocess.run(
        [DEPLOY.parent / arguments, prefix, Path(sys.base_prefix) / "bin" / "python3"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=_bare(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    redis = find_redis_server()
    assert redis
    shutil.copy(redis, prefix / "bin" / "redis-server")
    return prefix


def test_the_recipe_is_linted() -> None:
    run_tool("hadolint", "--failure-threshold", "style", str(DEPLOY / "Dockerfile"))


def test_all_that_is_copied_is_sent_to_the_builder() -> None:
    sent = {
        line.removeprefix("!")
        for line in (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {source for line in lines for source in line.split()} == sent
    assert all((DEPLOY.parent / source).exists() for source in sent)


def test_what_is_installed_holds_nothing_but_larder_and_its_lock(installed: Path) -> None:
    names = [path.name for path in installed.glob("lib/python*/site-packages/*")]
    assert not [name for name in names if name.startswith(("pip", "setuptools", "tests", "__editable__"))]
    assert {"services", "shared"} <= set(names)
    done = subprocess.run(
        [installed / "bin" / "larder", "--version"], capture_output=True, text=True, timeout=60, check=True, env=_bare()
    )
    assert done.stdout.startswith("larder ")


def test_it_serves_as_a_stranger_on_a_tree_that_nobody_can_change(place: Path, installed: Path) -> None:
    [owner] = set(re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE))
    data_dir = place / "volume" / "data"
    data_dir.parent.mkdir()
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, int(owner), int(owner))
    larder = start_larder(
        data_dir,
        {"API_PROCESSES": "1", "HOST": "127.0.0.1"},
        cwd=data_dir,
        command=["unshare", "--mount", "sh", "-ec", _AS_A_STRANGER, "sh", str(installed / "bin" / "larder"), "serve"],
        environment={
            "TREE": str(installed),
            "INTERPRETER": sys.base_prefix,
            "PRIVATE": _private_part(Path(sys.base_prefix)),
            "OWNER": owner,
            "PATH": f"{installed}/bin:{os.environ['PATH']}",
        },
    )
    try:
        larder.wait_until_ready()
        assert {_owner(one.pid) for one in larder.members()} == {int(owner)}
        asyncio.run(_publish_and_install(larder))
        _run_health_check(larder, installed)
        assert larder.stop() == 0
    finally:
        larder.end()


def _bare() -> dict[str, str]:
    """Return an environment in which nothing of this source can be found by accident."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("LARDER_", "PYTHON"))}


def _private_part(directory: Path) -> str:
    """Return the first directory on the way there that strangers may not enter; nothing when there is none."""
    way = [*reversed(directory.parents), directory]
    return next((str(one) for one in way if not one.stat().st_mode & stat.S_IXOTH), "")


def _owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


async def _publish_and_install(larder: LarderProcess) -> None:
    wheel = build_wheel("shipped", "1.0")
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        answer = await client.upload(wheel, file_name=wheel_file_name("shipped", "1.0"), name="shipped", version="1.0")
        assert answer.status == 201, answer
        page = await client.page("shipped")
        assert page is not None
        assert await client.download(page["files"][0]["url"]) == wheel


def _run_health_check(larder: LarderProcess, installed: Path) -> None:
    [command] = re.findall(r"HEALTHCHECK [^\n]*\\\n\s+CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    program, *arguments = json.loads(command)
    port = larder.url.rpartition(":")[2]
    here = [one.replace(":8080/", f":{port}/") for one in arguments]
    assert here != arguments
    subprocess.run([installed / "bin" / program, *here], timeout=30, check=True, env=_bare())
