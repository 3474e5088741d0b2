"""The part of the metadata port that is about CI jobs: where they are let in."""

from typing import Protocol

from shared.models import Project, ProjectId


class JobTokenReads(Protocol):
    """Look up where jobs are let in."""

    async def is_allowed(self, source: Project, *, into: ProjectId) -> bool:
        """Return whether the other project's allow-list holds this one, or a group that this one lies in."""
        ...


class JobTokenWrites(JobTokenReads, Protocol):
    """Change where jobs are let in."""
