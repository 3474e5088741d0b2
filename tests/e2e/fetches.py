"""What was fetched from a registry, by its own log."""

import urllib.request
from dataclasses import dataclass

from tests.e2e.processes import LarderProcess
from tests.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer that carried bytes of a file or of the metadata beside it."""

    status: int
    size_bytes: int


def fetched(larder: LarderProcess) -> list[Fetched]:
    """Return what files and metadata have been sent until now, oldest first; of a registry with one API process.

    In its log a request of our own stands behind all that was asked before it.
    """
    with urllib.request.urlopen(f"{larder.url}/-/liveness", timeout=60) as answer:
        marker = answer.headers["X-Request-Id"]
    wait_for(
        lambda: any(line.get("request_id") == marker for line in larder.events("request.finished")),
        what="the log is written",
        timeout_seconds=60,
    )
    return [
        Fetched(line["status"], line["bytes"])
        for line in larder.events("request.finished")
        if line["method"] == "GET" and "/packages/pypi/files/" in (line["route"] or "")
    ]
