"""Checkouts of Larder at any commit, each with an environment that has what it needs."""

import subprocess
import tarfile
from pathlib import Path

from benchmarks.servers.larder import LOCK, Source, our_source, python_of
from tests.e2e.processes import SOURCE

_HERE = "."


def source_of(commit: str, directory: Path) -> Source:
    """Unpack a commit into the directory; "." is what is checked out here, with all that was changed."""
    if commit == _HERE:
        return our_source()
    directory.mkdir(parents=True)
    archive = directory.with_suffix(".tar")
    command = ["git", "-C", str(SOURCE), "archive", "--output", str(archive), commit]
    subprocess.run(command, check=True)  # noqa: S603 - our own
    with tarfile.open(archive) as files:
        files.extractall(directory, filter="data")
    archive.unlink()
    lock = directory / LOCK
    if lock.read_bytes() == SOURCE.joinpath(LOCK).read_bytes():
        return Source(directory, our_source().python)
    return Source(directory, python_of(f"larder-{short(commit)}", lock))


def short(commit: str) -> str:
    """Return the short form of a commit, as git tells it."""
    if commit == _HERE:
        return "here"
    command = ["git", "-C", str(SOURCE), "rev-parse", "--short", commit]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - our own
