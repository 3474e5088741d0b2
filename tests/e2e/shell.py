"""What a person would paste into a terminal, run with this environment's twine, pip and uv, or another's."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

OURS = Path(sys.executable).parent
"""Where the commands of the environment are that the tests run in."""
_PATIENCE_SECONDS = 300
_QUIET = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
# What tells a client how its user likes it, or where he is.
_PERSONAL = ("LARDER_", "TWINE_", "PIP_", "UV_", "POETRY_", "PDM_", "HATCH_", "FLIT_", "XDG_", "VIRTUAL_ENV", "NETRC")


def run_in_shell(command: str, *, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; no configuration of whoever runs the tests has a say in it.

    Args:
        cwd: also the home of whoever runs it.
    """
    return run_with(OURS, command, cwd=cwd, environment=environment)


def run_with(
    tools: Path, command: str, *, cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the command as `run_in_shell` does, where the commands in this directory come first; ours come next."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_PERSONAL)}
    path = os.pathsep.join([str(tools), str(OURS), os.environ["PATH"]])
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        env={**inherited, **_QUIET, "PATH": path, "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
