"""Leave out of answers the pipelines of projects that the reader may not see.

A package can come from the pipeline of another project, if its own project lets in the other's jobs. What the one shows
to everybody says nothing about the other, whose paths, branches and people stand in its pipelines.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.models import Pipeline, ProjectId
from shared.ports.metadata_store import Reading
from shared.ports.package_lists import ListedFile, ListedPackage
from shared.principals import Job, Principal
from shared.usecases.tenant_admission import viewer_of


@dataclass(frozen=True, slots=True)
class SeenPipelines:
    """The pipelines that somebody may see: those of these projects."""

    project_ids: frozenset[ProjectId]

    def among(self, pipelines: Iterable[Pipeline]) -> tuple[Pipeline, ...]:
        """Return those of the pipelines that may be seen."""
        return tuple(one for one in pipelines if one.project_id in self.project_ids)

    def of_package(self, listed: ListedPackage) -> ListedPackage:
        """Return the package without its pipeline where that may not be seen."""
        if listed.pipeline is None or listed.pipeline.project_id in self.project_ids:
            return listed
        return replace(listed, pipeline=None)

    def of_file(self, listed: ListedFile) -> ListedFile:
        """Return the file with those of its pipelines that may be seen."""
        return replace(listed, pipelines=self.among(listed.pipelines))


async def seen_pipelines(
    rows: Reading, principal: Principal, pipelines: Iterable[Pipeline | None], *, read_here: Iterable[ProjectId]
) -> SeenPipelines:
    """Return which of the pipelines the reader may see.

    Args:
        read_here: the projects whose packages are being read; no more need be known of these.
    """
    known = {*read_here, *((principal.project.id,) if isinstance(principal, Job) else ())}
    others = {one.project_id for one in pipelines if one is not None} - known
    if others:
        known |= await rows.tenant_lists.visible(others, viewer_of(principal, datetime.now(UTC)))
    return SeenPipelines(frozenset(known))
