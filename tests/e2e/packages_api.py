"""Larder's own calls about packages, as the owner of the first project makes them with curl."""

import json
import urllib.request
from typing import Any

from tests.e2e.processes import LarderProcess


def ask(larder: LarderProcess, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Call the Packages API of the project as its owner."""
    request = urllib.request.Request(
        f"{larder.url}/api/v4/projects/{larder.project_id}/packages{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"PRIVATE-TOKEN": larder.token, "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        text = response.read()
    return json.loads(text) if text else None


def package_path(larder: LarderProcess, name: str, version: str) -> str:
    (package,) = ask(larder, "GET", f"?package_name={name}&package_version={version}")
    return f"/{package['id']}"
