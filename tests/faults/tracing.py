"""System calls of running processes that fail for a while, by a tracer that is attached from outside and let go again.

with failing_calls(pids, ("fsync", "fdatasync"), "EIO"):
    ...
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.backends import tracer
from tests.waiting import wait_for

_ATTACH_SECONDS = 60.0
_DETACH_SECONDS = 60.0


@contextmanager
def failing_calls(pids: Sequence[int], calls: Sequence[str], error: str, *, path: Path | None = None) -> Iterator[None]:
    """Let these calls fail in all threads of these processes while the block runs; nothing reaches the kernel.

    Args:
        error: what the calls say: "EIO".
        path: only where a call is about this file; None: about any.

    Without a tracer the test is skipped, or fails where REQUIRE_BACKENDS=1 is set.
    """
    names = ",".join(calls)
    options = ["-f", "-qq", "-e", f"trace={names}", "-e", f"inject={names}:error={error}", "-o", "/dev/null"]
    options += ["-P", str(path)] if path else []
    options += [word for pid in pids for word in ("-p", str(pid))]
    with tempfile.TemporaryFile() as said:
        strace = subprocess.Popen((tracer(), *options), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            wait_for(
                lambda: strace.poll() is not None or all(map(_is_traced, pids)),
                what="the tracer has taken hold of all threads",
                timeout_seconds=_ATTACH_SECONDS,
            )
            said.seek(0)
            assert strace.poll() is None, said.read()
            yield
        finally:
            strace.send_signal(signal.SIGINT)  # It lets all go, who then run on.
            strace.wait(_DETACH_SECONDS)


def _is_traced(pid: int) -> bool:
    for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names are all that is wanted
        status = Path(f"/proc/{pid}/task/{thread}/status").read_text(encoding="ascii", errors="replace")
        if "TracerPid:\t0\n" in status:
            return False
    return True
