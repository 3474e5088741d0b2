"""The clients as people have them: each in an environment of its own, made once on a machine from its pins.

To try another client, write what it is to `pins/<name>.in`; `make lock` makes `pins/<name>.txt` of it.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("pins")
ON_PYTHON_PATH = Path(__file__).with_name("on_python_path")
"""What clients are to import: a keyring."""
# With the environment that the tests run in they live and go.
_PLACE = Path(sys.prefix) / "clients"
_PATIENCE_SECONDS = 300


def client_environment(name: str) -> Path:
    """Return the environment of `pins/<name>.txt`. A client that cannot be had is a failure of whoever asks."""
    return environment_of(name, PINS / f"{name}.txt")


def environment_of(name: str, pins: Path) -> Path:
    """Return the environment of this name; it is made, or made again, where it is not what the pins say.

    Those that ask at once wait for the first of them.
    """
    directory = _PLACE / name
    wanted = f"{directory}\n{sys.version}\n{hashlib.sha256(pins.read_bytes()).hexdigest()}\n"
    made = directory / "made"
    _PLACE.mkdir(exist_ok=True)
    with (_PLACE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists() or made.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(directory, ignore_errors=True)
            _uv("venv", "--no-project", "--python", sys.executable, str(directory))
            python = str(directory / "bin" / "python")
            _uv("pip", "install", "--python", python, "--require-hashes", "--requirement", str(pins))
            made.write_text(wanted, encoding="utf-8")
    return directory


def pinned_version(client: str, pins: str) -> str:
    """Return which version of the client the pins name."""
    found = re.search(rf"(?m)^{client}==(\S+)", (PINS / f"{pins}.txt").read_text(encoding="utf-8"))
    assert found, f"{pins}.txt does not pin {client}"
    return found.group(1)


def _uv(*arguments: str) -> None:
    """Run uv as whoever runs the tests has set it up: the clients come from where all else comes from."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"uv {' '.join(arguments)}\n{done.stderr}"
