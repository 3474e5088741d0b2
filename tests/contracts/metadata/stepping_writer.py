"""A process of its own that commits one change for each line that it is sent, and answers when it is committed.

`python -m tests.contracts.metadata.stepping_writer URL PROJECT`
"""

import asyncio
import sys

from shared.metadata.store import open_metadata_store
from shared.models import ProjectId
from tests.contracts.metadata.sample_rows import new_package


async def write(url: str, project_id: ProjectId) -> None:
    """Add a package a line."""
    async with open_metadata_store(url) as store:
        number = 0
        while await asyncio.to_thread(sys.stdin.readline):
            async with store.writing() as rows:
                await rows.packages.find_or_add(new_package(project_id, f"stepping-{number}"))
            number += 1
            print("committed", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], ProjectId(int(sys.argv[2]))))
