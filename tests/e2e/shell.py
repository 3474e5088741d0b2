"""What a person would paste into a terminal, run with this environment's twine, pip and uv."""

import os
import subprocess
import sys
from pathlib import Path

_PATIENCE_SECONDS = 120


def run_in_shell(command: str, *, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; no configuration of whoever runs the tests has a say in it."""
    tools = str(Path(sys.executable).parent)
    quiet = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("LARDER_", "TWINE_", "PIP_", "UV_"))
    }
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        env=inherited | quiet | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "HOME": str(cwd)} | environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
