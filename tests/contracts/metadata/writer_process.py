"""A process of its own that writes: `python -m tests.contracts.metadata.writer_process URL PROJECT WRITES LABEL`."""

import asyncio
import sys

from shared.metadata.store import open_metadata_store
from shared.models import ProjectId
from tests.contracts.metadata.sample_rows import new_package


async def write(url: str, project_id: ProjectId, writes: int, label: str) -> None:
    """Wait for a line on standard input, then add so many packages, each in a transaction of its own."""
    async with open_metadata_store(url) as store:
        await store.check_schema()
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.readline)
        for number in range(writes):
            async with store.writing() as rows:
                await rows.packages.find_or_add(new_package(project_id, f"{label}-{number}"))


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], ProjectId(int(sys.argv[2])), int(sys.argv[3]), sys.argv[4]))
