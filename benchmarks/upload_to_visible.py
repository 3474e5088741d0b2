"""How long one client waits for a small upload: from the first byte sent until the file is on its page.

    .venv/bin/python -m benchmarks.upload_to_visible [uploads]

Starts a `larder serve` of its own on loopback, in a temporary directory, and stops it again.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess, running_larder
from tests.registry_client import open_client

_WARM_UP = 10


async def _measure(larder: LarderProcess, uploads: int) -> list[float]:
    """Return milliseconds, one for each upload after the first few."""
    milliseconds = []
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        for number in range(_WARM_UP + uploads):
            version = f"1.{number}"
            wheel = build_wheel("quick", version)
            started_at = time.perf_counter()
            answer = await client.upload(
                wheel, file_name=wheel_file_name("quick", version), name="quick", version=version
            )
            milliseconds.append((time.perf_counter() - started_at) * 1000)
            if answer.status != 201:
                raise SystemExit(f"upload {number} was answered {answer}")
    return milliseconds[_WARM_UP:]


def main() -> None:
    """Print median, 90th percentile and maximum."""
    uploads = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as directory, running_larder(Path(directory) / "var") as larder:
        times = asyncio.run(_measure(larder, uploads))
    ninetieth = statistics.quantiles(times, n=10)[-1]
    print(  # noqa: T201 - this is its output
        f"{uploads} uploads: median {statistics.median(times):.1f} ms, 90% {ninetieth:.1f} ms, most {max(times):.1f} ms"
    )


if __name__ == "__main__":
    main()
