"""What stands in deploy/, as the tools that people run it with see it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are another distribution

from tests.e2e.environments import client_environment

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OVERLAYS = ("small", "scaled")

Manifest = dict[str, Any]


def run_tool(name: str, *arguments: str) -> str:
    """Run one of the pinned tools and return what it printed; it has to be content."""
    program = client_environment("deploy") / "bin" / name
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{name} {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def render(overlay: str) -> str:
    """Return an overlay as `kubectl apply --kustomize` sends it."""
    return run_tool("kubectl", "kustomize", str(DEPLOY / "kubernetes" / "overlays" / overlay))


def manifests(overlay: str) -> list[Manifest]:
    """Return what an overlay makes."""
    return [one for one in yaml.safe_load_all(render(overlay)) if one]


def pods(overlay: str) -> Iterator[tuple[str, Manifest]]:
    """Yield the kind of what makes pods, and the pods' specification."""
    for one in manifests(overlay):
        if "template" in one.get("spec", {}):
            yield one["kind"], one["spec"]["template"]["spec"]


def compose(name: str) -> Manifest:
    """Return a compose file with its anchors resolved and its variables filled in."""
    return read_yaml(f"compose/{name}.yaml")


def read_yaml(path: str) -> Manifest:
    """Return what a file below deploy/ holds; variables that its user has to set are filled in."""
    text = (DEPLOY / path).read_text(encoding="utf-8")
    loaded: Manifest = yaml.safe_load(re.sub(r"\$\{\w+(:\?[^}]*)?\}", "x" * 20, text))
    return loaded
