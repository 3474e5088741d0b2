"""Runs the orphan sweep of the worker once, in a process of its own: `python -m tests.faults.orphan_sweep <data dir>`.

The longest upload is what LARDER_UPLOAD_MAX_SECONDS says. It prints how many files it has removed.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from shared.blobs.local import open_local_blob_store
from shared.metadata.store import open_metadata_store
from shared.usecases.sweep import SweepOrphans
from tests.e2e.processes import SOURCE
from tests.faults.registry import FaultyRegistry

_LONGEST = "UPLOAD_MAX_SECONDS"
_SWEEP_SECONDS = 120.0


def sweep_in_processes(registry: FaultyRegistry, count: int) -> int:
    """Run so many sweeps at once, under the clock and the settings of the registry; return how many files are gone."""
    environment = {**os.environ, **registry.environment, f"LARDER_{_LONGEST}": registry.settings[_LONGEST]}
    environment["PYTHONPATH"] = os.pathsep.join((registry.environment["PYTHONPATH"], str(SOURCE)))
    command = (sys.executable, "-P", "-m", "tests.faults.orphan_sweep", str(registry.directory.path))
    sweeps = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(count)]
    removed = [int(one.communicate(timeout=_SWEEP_SECONDS)[0].split()[-1]) for one in sweeps]
    assert [one.returncode for one in sweeps] == [0] * count
    return sum(removed)


async def sweep(data_dir: Path, upload_max_seconds: float) -> int:
    """Remove the blobs that no row names and that are old enough; return how many."""
    async with (
        open_metadata_store(f"sqlite:///{data_dir}/larder.sqlite3") as store,
        open_local_blob_store(data_dir / "blobs") as blobs,
    ):
        return await SweepOrphans(store=store, blobs=blobs, upload_max_seconds=upload_max_seconds)()


if __name__ == "__main__":
    print(asyncio.run(sweep(Path(sys.argv[1]), float(os.environ[f"LARDER_{_LONGEST}"]))))  # noqa: T201
