"""One inspection of one archive: what a process does that was forked for nothing else.

It gets a request and answers with JSON:

    {"path": ..., "file_name": ..., "memory_bytes": ..., "cpu_seconds": ..., "archive": <the fields of ArchiveLimits>}
    {"metadata": <base64>, "name": ..., "version": ..., "requires_python": ... or null,
     "flaw": ... or null}  or  {"rejected": <reason>}
"""

import base64
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from shared.distributions.archives import ArchiveLimits
from shared.distributions.reading import read_distribution
from shared.errors import DistributionRejected, ValidationFailed

_LIBC = ctypes.CDLL(None)
"""Looked up once, before anything is forked: that takes as long as to open a small archive."""
_MIB = 1024 * 1024
_MAX_OPEN_FILES = 16

# Source: linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_NO_NEW_PRIVS = 38


def inspect(request: dict[str, Any]) -> None:
    """Limit this process, open the archive that the request names, and write the answer to standard output."""
    limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    limit(resource.RLIMIT_AS, request["memory_bytes"])
    # Reading the file counts as well, but waiting for it does not: that limit is the worker's.
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_seconds"], request["cpu_seconds"] + 1))
    answer = _answer(
        Path(request["path"]),
        file_name=request["file_name"],
        limits=ArchiveLimits(**request["archive"]),
        memory_bytes=request["memory_bytes"],
    )
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()


def _answer(path: Path, *, file_name: str, limits: ArchiveLimits, memory_bytes: int) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            metadata = read_distribution(file, file_name=file_name, limits=limits)
    except (DistributionRejected, ValidationFailed) as refusal:
        return {"rejected": refusal.reason}
    except MemoryError:
        return {"rejected": f"archive needs more than {memory_bytes // _MIB} MiB of memory to be read"}
    return {
        "metadata": base64.b64encode(metadata.raw).decode("ascii"),
        "name": metadata.name,
        "version": metadata.version,
        "requires_python": metadata.requires_python,
        "flaw": metadata.flaw,
    }


def give_up_what_is_not_needed() -> None:
    """Take from this process, and from those forked of it, what a flaw in a parser could be used for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_NAME, b"larder inspect", 0, 0, 0)
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def die_with(parent_pid: int) -> None:
    """Tie the life of this process to its parent's; end it when that is gone already."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def limit(resource_id: int, value: int) -> None:
    """Set a limit that cannot be raised again."""
    resource.setrlimit(resource_id, (value, value))
