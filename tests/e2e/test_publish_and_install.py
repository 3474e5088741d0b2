"""The main job as a person does it: twine publishes, pip and uv install, with the commands that were printed."""

import asyncio
import json
import os
import re
import shutil
import urllib.request
from pathlib import Path

import pytest

from tests.distributions import build_sdist, build_wheel, core_metadata, module_name, sdist_file_name, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.e2e.shell import run_in_shell
from tests.registry_client import open_client

pytestmark = pytest.mark.scaled


def _printed(larder: LarderProcess, start: str) -> str:
    """Return the command of the printed page that begins so."""
    found = re.search(rf"^\s+({start}.*)$", larder.page, re.MULTILINE)
    assert found, larder.page
    return found.group(1)


def _create(larder: LarderProcess, kind: str, **fields: str | int) -> int:
    """Create a group or project as the administrator, and return its number."""
    request = urllib.request.Request(
        f"{larder.url}/api/v4/{kind}",
        data=json.dumps(fields).encode(),
        headers={"PRIVATE-TOKEN": larder.token, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return int(json.load(response)["id"])


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A project's dist/ directory with one wheel and one sdist."""
    directory = tmp_path / "project" / "dist"
    directory.mkdir(parents=True)
    (directory / wheel_file_name("Demo.Package", "1.0")).write_bytes(
        build_wheel("Demo.Package", "1.0", requires_python=">=3.8")
    )
    (directory / sdist_file_name("Demo.Package", "1.0")).write_bytes(
        build_sdist("Demo.Package", "1.0", requires_python=">=3.8")
    )
    return directory


def test_the_printed_commands_publish_and_install(larder_of_module: LarderProcess, dist: Path, tmp_path: Path) -> None:
    publish = run_in_shell(_printed(larder_of_module, "TWINE_USERNAME="), cwd=dist.parent)
    assert publish.returncode == 0, publish.stdout + publish.stderr
    again = run_in_shell(_printed(larder_of_module, "TWINE_USERNAME="), cwd=dist.parent)
    assert again.returncode == 0, again.stdout + again.stderr

    for tool, options in (("pip install", "--no-build-isolation"), ("uv pip install", "--no-build-isolation")):
        for kind in ("", "--no-binary :all:"):
            target = tmp_path / f"{tool.split(maxsplit=1)[0]}{len(kind)}"
            command = _printed(larder_of_module, re.escape(tool)).replace("your-package", "demo-package==1.0")
            done = run_in_shell(f"{command} {options} {kind} --target '{target}' --no-cache-dir", cwd=tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
            assert list(target.glob(f"{module_name('Demo.Package')}*")), sorted(target.iterdir())
            shutil.rmtree(target)


@pytest.mark.slow
def test_pip_and_uv_install_from_a_group_what_its_projects_need_of_one_another(
    larder_of_module: LarderProcess, tmp_path: Path
) -> None:
    larder = larder_of_module
    top = _create(larder, "groups", name="Top", path="top")
    team = _create(larder, "groups", name="Team", path="team", parent_id=top)
    wheel, sdist = tmp_path / wheel_file_name("Group.App", "1.0"), tmp_path / sdist_file_name("group-lib", "1.0")
    needs = core_metadata("Group.App", "1.0").replace(b"\n\n", b"\nRequires-Dist: group-lib>=1.0\n\n", 1)
    wheel.write_bytes(build_wheel("Group.App", "1.0", metadata=needs))
    sdist.write_bytes(build_sdist("group-lib", "1.0"))
    for group, path, distribution in ((top, "apps", wheel), (team, "libraries", sdist)):
        project = _create(larder, "projects", name=path, namespace_id=group)
        done = run_in_shell(
            f"twine upload --repository-url {larder.url}/api/v4/projects/{project}/packages/pypi '{distribution}'",
            cwd=tmp_path,
            TWINE_USERNAME="root",
            TWINE_PASSWORD=larder.token,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    address = larder.url.removeprefix("http://")
    for tool in ("pip install --no-input", "uv pip install"):
        for credentials, place in ((f"root:{larder.token}@", str(top)), (f"root:{larder.token}@", "top"), ("", "top")):
            target = tmp_path / f"{tool.split(maxsplit=1)[0]}-{place}-{bool(credentials)}"
            index = f"http://{credentials}{address}/api/v4/groups/{place}/-/packages/pypi/simple/"
            done = run_in_shell(
                f"{tool} --index-url {index} group-app --target '{target}' --no-build-isolation --no-cache-dir",
                cwd=tmp_path,
            )
            assert (done.returncode == 0) is bool(credentials), done.stdout + done.stderr
            modules = {path.name for path in target.glob("group_*.py")}
            assert modules == ({"group_app.py", "group_lib.py"} if credentials else set())


def test_uv_publishes_and_what_it_published_is_listed(larder_of_module: LarderProcess, tmp_path: Path) -> None:
    larder = larder_of_module
    wheel = tmp_path / wheel_file_name("by-uv", "0.1")
    wheel.write_bytes(build_wheel("by-uv", "0.1"))
    upload_url = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi"

    done = run_in_shell(
        f"uv publish --publish-url {upload_url} --check-url {upload_url}/simple/ '{wheel}'",
        cwd=tmp_path,
        UV_PUBLISH_USERNAME="root",
        UV_PUBLISH_PASSWORD=larder.token,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    request = urllib.request.Request(f"{upload_url}/simple/by-uv/", headers={"PRIVATE-TOKEN": larder.token})
    with urllib.request.urlopen(request, timeout=60) as response:
        page = response.read().decode()
    assert wheel.name in page


@pytest.mark.parametrize(
    ("project", "token", "expected"),
    [
        ("1", "not-a-token-at-all-00000", "401 Unauthorized"),
        ("4711", None, "404 Not Found"),
    ],
)
def test_twine_prints_why_it_was_turned_away(
    larder_of_module: LarderProcess, dist: Path, project: str, token: str | None, expected: str
) -> None:
    larder = larder_of_module
    done = run_in_shell(
        f"twine upload --verbose --repository-url {larder.url}/api/v4/projects/{project}/packages/pypi dist/*.whl",
        cwd=dist.parent,
        TWINE_USERNAME="root",
        TWINE_PASSWORD=token or larder.token,
    )

    assert done.returncode != 0
    assert expected in done.stdout + done.stderr


@pytest.mark.slow
def test_twine_prints_the_workers_reason_and_nothing_remains(larder: LarderProcess, tmp_path: Path) -> None:
    wheel = tmp_path / wheel_file_name("broken", "1.0")
    content = bytearray(build_wheel("broken", "1.0"))
    content += b"trailing"
    wheel.write_bytes(content)

    async def try_it() -> tuple[int, str, list[str]]:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            answer = await client.upload(bytes(content), file_name=wheel.name, name="broken", version="1.0")
            return answer.status, answer.body["message"], await client.names()

    status, message, names = asyncio.run(try_it())

    assert status == 400
    assert message.startswith("400 Bad request - Validation failed: ")
    assert names == []
    assert larder.blobs() == []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_client_that_pushes_300_mb_without_looking_still_prints_why_it_was_turned_away(
    larder: LarderProcess, tmp_path: Path
) -> None:
    big = tmp_path / wheel_file_name("big", "1.0")
    big.write_bytes(build_wheel("big", "1.0", extra_files={"big.bin": os.urandom(300 * 1024 * 1024)}))

    done = run_in_shell(
        f"twine upload --repository-url {larder.url}/api/v4/projects/1/packages/pypi '{big}'",
        cwd=tmp_path,
        TWINE_USERNAME="root",
        TWINE_PASSWORD="not-a-token-at-all-00000",
    )

    assert done.returncode != 0
    assert "401 Unauthorized" in done.stdout + done.stderr
    assert larder.blobs() == []
