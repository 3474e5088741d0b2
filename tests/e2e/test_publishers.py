"""Every publisher does what stands in the table in `publishers.py`, against one registry."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.environments import ON_PYTHON_PATH
from tests.e2e.processes import LarderProcess, running_larder
from tests.e2e.publishers import PUBLICATIONS, PUBLISHERS, lay_out, tools_of
from tests.e2e.shell import run_with
from tests.registry_client import open_client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    with running_larder(tmp_path_factory.mktemp("publishers") / "var", {"API_PROCESSES": "1"}) as process:
        yield process


@pytest.mark.parametrize("publisher", PUBLISHERS)
async def test_a_publisher_brings_its_files_and_is_told_of_others(
    larder: LarderProcess, publisher: str, tmp_path: Path
) -> None:
    name = f"by-{publisher}"
    for content in ("1", "2"):
        lay_out(tmp_path / content, name, content)

    for what, publication in PUBLICATIONS.items():
        command = publication.command_of(publisher)
        if command is None:
            continue
        done = send(larder, publisher, command, tmp_path / publication.content)
        output = " ".join((done.stdout + done.stderr).split())
        assert (done.returncode != 0) is (publisher in publication.refuses), (what, output)
        assert publication.says.get(publisher, "") in output, (what, output)

    async with open_client(larder.url, larder.token, larder.project_id) as client:
        page = await client.page(name)
    assert page is not None
    assert {file["filename"]: file["hashes"]["sha256"] for file in page["files"]} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files_of(publisher, tmp_path / "1")
    }


def files_of(publisher: str, project: Path) -> list[Path]:
    """Return what of `dist/` was sent: flit sends nothing but what it builds itself, and calls its wheel so."""
    files = list((project / "dist").iterdir())
    return [path for path in files if publisher != "flit" or "-py3-" not in path.name]


def send(larder: LarderProcess, publisher: str, command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    pypi = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi"
    credentials = {
        "TWINE": ("USERNAME", "PASSWORD"),
        "UV_PUBLISH": ("USERNAME", "PASSWORD"),
        "POETRY_HTTP_BASIC_LARDER": ("USERNAME", "PASSWORD"),
        "HATCH_INDEX": ("USER", "AUTH"),
        "FLIT": ("USERNAME", "PASSWORD"),
        "PDM_PUBLISH": ("USERNAME", "PASSWORD"),
    }
    environment = {f"{start}_{user}": "root" for start, (user, _) in credentials.items()}
    environment |= {f"{start}_{secret}": larder.token for start, (_, secret) in credentials.items()}
    environment |= {
        "REPOSITORY": pypi,
        "INDEX": f"{pypi.replace('://', f'://root:{larder.token}@')}/simple/",
        "KEPT_FOR": "root",
        "KEPT_PASSWORD": larder.token,
        "PYTHONPATH": str(ON_PYTHON_PATH),
        "PYTHON_KEYRING_BACKEND": "kept_password.Keyring",
        # So that what flit builds twice is the same.
        "SOURCE_DATE_EPOCH": "1700000000",
        "POETRY_NO_INTERACTION": "1",
        "POETRY_REPOSITORIES_LARDER_URL": pypi,
        "FLIT_INDEX_URL": pypi,
        "PDM_PUBLISH_REPO": pypi,
        "PDM_CHECK_UPDATE": "0",
    }
    return run_with(tools_of(publisher), command, cwd=cwd, environment=environment)
