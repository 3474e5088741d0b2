"""Uploaders that send attestations with their files (PEP 740): what they sent is what installers are served."""

import hashlib
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.attestations import attestation, statement
from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.e2e.shell import run_in_shell

pytestmark = pytest.mark.slow

SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
COMMANDS = {
    "uv": "uv publish --publish-url {url} dist/*",
    "twine": "twine upload --attestations --repository-url {url} dist/*",
}
CREDENTIALS = {"uv": "UV_PUBLISH", "twine": "TWINE"}


def fetch(larder: LarderProcess, url: str) -> Any:
    request = urllib.request.Request(url, headers={"PRIVATE-TOKEN": larder.token, "Accept": f"{SIMPLE_JSON}, */*"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@pytest.mark.parametrize("tool", COMMANDS)
def test_what_an_uploader_attests_is_served_beside_its_file(
    larder_of_module: LarderProcess, tool: str, tmp_path: Path
) -> None:
    larder, name = larder_of_module, f"attested-by-{tool}"
    dist = tmp_path / "dist"
    dist.mkdir()
    wheel = dist / wheel_file_name(name, "1.0")
    wheel.write_bytes(build_wheel(name, "1.0"))
    sent = attestation(statement(wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest()))
    (dist / f"{wheel.name}.publish.attestation").write_text(json.dumps(sent), encoding="utf-8")
    url = f"{larder.url}/api/v4/projects/{larder.project_id}/packages/pypi"
    start = CREDENTIALS[tool]
    credentials = {f"{start}_USERNAME": "root", f"{start}_PASSWORD": larder.token}

    done = run_in_shell(COMMANDS[tool].format(url=url), cwd=tmp_path, **credentials)

    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = fetch(larder, f"{url}/simple/{name}/")["files"]
    assert file["provenance"] == f"{file['url'].partition('#')[0]}.provenance"
    (bundle,) = fetch(larder, file["provenance"])["attestation_bundles"]
    assert bundle["attestations"] == [sent]
