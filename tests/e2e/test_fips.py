"""A registry on a machine whose OpenSSL is in FIPS mode: it is found out by itself, and nothing asks for an MD5."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributions import build_sdist, build_wheel, sdist_file_name, wheel_file_name
from tests.e2e.conftest import LarderStarter
from tests.e2e.processes import SOURCE, larder_command
from tests.registry_client import open_client

pytestmark = pytest.mark.slow

# Python imports this at its start, so it holds in every process that `larder serve` starts.
_FIPS_MACHINE = """
import _hashlib, hashlib

def refuse(*arguments, **options):
    raise ValueError("disabled for FIPS")

_hashlib.get_fips_mode = lambda: 1
_hashlib.openssl_md5 = hashlib.md5 = refuse
"""


async def test_on_a_machine_in_fips_mode_packages_are_published_and_installed_without_md5(
    start: LarderStarter, tmp_path: Path
) -> None:
    machine = tmp_path / "machine"
    machine.mkdir()
    (machine / "sitecustomize.py").write_text(_FIPS_MACHINE, encoding="utf-8")
    environment = ["env", f"PYTHONPATH={machine}:{SOURCE}"]
    larder = start(command=[*environment, *larder_command("serve")]).wait_until_ready()
    wheel, sdist = build_wheel("demo", "1.0"), build_sdist("demo", "1.0")

    async with open_client(larder.url, larder.token, larder.project_id) as client:
        undeclared = await client.upload(
            wheel, file_name=wheel_file_name("demo", "1.0"), name="demo", version="1.0", sha256_digest=""
        )
        published = [
            await client.upload(content, file_name=name, name="demo", version="1.0", md5_digest="0" * 32)
            for content, name in ((wheel, wheel_file_name("demo", "1.0")), (sdist, sdist_file_name("demo", "1.0")))
        ]
    index = f"{larder.url.replace('://', f'://root:{larder.token}@')}/api/v4/projects/{larder.project_id}/packages/pypi"
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--index-url", f"{index}/simple/", "--target", str(target), "demo"],
        check=True,
        capture_output=True,
        timeout=120,
    )

    assert (undeclared.status, undeclared.body) == (422, {"message": "422 Unprocessable Entity"})
    assert [answer.status for answer in published] == [201, 201]
    assert (target / "demo.py").is_file()
    assert larder.events("request.failed") == []
