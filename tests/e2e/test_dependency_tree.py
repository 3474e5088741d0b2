"""A hundred real distributions are published to Larder, and installed from Larder alone by pip and by uv, alike.

What is wanted stands in `pins/tree.in`, all that comes with it in `pins/tree.txt`.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

from tests.e2e.environments import PINS
from tests.e2e.processes import LarderProcess
from tests.e2e.shell import run_in_shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ABOUT_A_HUNDRED = 90
# What an installer writes of its own accord: who it is, what it was asked for, and commands that start this Python.
OWN_FILES = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"}
INSTALL = {
    "pip": "pip install --no-cache-dir --no-compile --only-binary :all: --target installed -i $INDEX -r $WANTED",
    "uv": f"uv pip install --no-cache --no-build --python {sys.executable} --target installed -i $INDEX -r $WANTED",
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels as their authors published them, for this Python on this machine."""
    directory = tmp_path_factory.mktemp("originals")
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
    done = subprocess.run(
        [*command, "--require-hashes", "--requirement", str(PINS / "tree.txt"), "--dest", str(directory)],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory


def test_a_tree_is_installed_from_larder_alone_by_pip_and_uv_alike(
    larder_of_module: LarderProcess, originals: Path, tmp_path: Path
) -> None:
    pypi = f"{larder_of_module.url}/api/v4/projects/{larder_of_module.project_id}/packages/pypi"
    index = f"{pypi.replace('://', f'://root:{larder_of_module.token}@')}/simple/"
    wheels = [path.name for path in originals.iterdir()]
    assert len(wheels) >= ABOUT_A_HUNDRED

    published = run_in_shell(
        f"uv publish --no-cache --trusted-publishing never --publish-url {pypi} '{originals}/*'",
        cwd=tmp_path,
        UV_PUBLISH_USERNAME="root",
        UV_PUBLISH_PASSWORD=larder_of_module.token,
    )
    assert published.returncode == 0, published.stderr[-3000:]

    trees = {}
    for tool, command in INSTALL.items():
        home = tmp_path / tool
        home.mkdir()
        done = run_in_shell(command, cwd=home, INDEX=index, WANTED=str(PINS / "tree.in"))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        trees[tool] = home / "installed"

    names = {tool: {path.name for path in tree.glob("*.dist-info")} for tool, tree in trees.items()}
    assert names["pip"] == names["uv"]
    assert {named(path.removesuffix(".dist-info")) for path in names["uv"]} == {
        "-".join(map(str, parse_wheel_filename(wheel)[:2])) for wheel in wheels
    }
    assert digests(trees["pip"]) == digests(trees["uv"])
    assert commands(trees["pip"]) == commands(trees["uv"])


def named(stem: str) -> str:
    return "-".join(map(str, parse_wheel_filename(f"{stem}-py3-none-any.whl")[:2]))


def digests(tree: Path) -> dict[str, str]:
    """Return the digest of each file that comes out of a wheel as it is, by its place."""
    files = (path for path in tree.rglob("*") if path.is_file() and path.name not in OWN_FILES)
    return {
        place: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not (place := path.relative_to(tree).as_posix()).startswith("bin/") and place != ".lock"
    }


def commands(tree: Path) -> set[str]:
    found = {path.name for path in (tree / "bin").iterdir()}
    assert found
    return found
