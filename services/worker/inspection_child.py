"""One inspection of one archive: what the process does that `inspection.py` starts for it.

It reads a line of JSON from its standard input and answers with one:

    {"path": ..., "file_name": ..., "memory_bytes": ..., "cpu_seconds": ...}
    {"metadata": <base64>, "name": ..., "version": ..., "requires_python": ... or null}  or  {"rejected": <reason>}

It imports little, since every inspection pays for the start of such a process.
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

_MIB = 1024 * 1024
_MAX_REQUEST_BYTES = 64 * 1024
_MAX_OPEN_FILES = 16

# Source: linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_NO_NEW_PRIVS = 38


def main(parent_pid: int) -> None:
    """Wait for the request, answer it and end; end without an answer when the parent ends first."""
    _give_up_what_is_not_needed(parent_pid)
    line = sys.stdin.buffer.readline(_MAX_REQUEST_BYTES)
    if not line:
        return
    request = json.loads(line)
    _limit(resource.RLIMIT_AS, request["memory_bytes"])
    # Reading the file counts as well, but waiting for it does not: that limit is the parent's.
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_seconds"], request["cpu_seconds"] + 1))
    answer = _inspect(Path(request["path"]), file_name=request["file_name"], memory_bytes=request["memory_bytes"])
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    # Nothing is left to be tidied up, and the parent waits for the end.
    os._exit(0)


def _inspect(path: Path, *, file_name: str, memory_bytes: int) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            metadata = read_distribution(file, file_name=file_name, limits=ArchiveLimits())
    except (DistributionRejected, ValidationFailed) as refusal:
        return {"rejected": refusal.reason}
    except MemoryError:
        return {"rejected": f"archive needs more than {memory_bytes // _MIB} MiB of memory to be read"}
    return {
        "metadata": base64.b64encode(metadata.raw).decode("ascii"),
        "name": metadata.name,
        "version": metadata.version,
        "requires_python": metadata.requires_python,
    }


def _give_up_what_is_not_needed(parent_pid: int) -> None:
    """Take from this process what a flaw in a parser could be used for, and tie its life to the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, b"larder inspect", 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        # It was gone before it could be tied to.
        os._exit(1)


def _limit(resource_id: int, value: int) -> None:
    resource.setrlimit(resource_id, (value, value))
