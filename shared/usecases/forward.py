"""Where else a name may be looked for that was never here."""

from dataclasses import dataclass
from urllib.parse import quote

from shared.forwarding import forwards_unknown_names
from shared.models import InstanceSettings, Namespace
from shared.names import NormalizedName
from shared.ports.metadata_store import MetadataStore, Reading
from shared.usecases.visits import GroupVisit, Visit


@dataclass(frozen=True, slots=True)
class ForwardUnknownName:
    """Say where upstream a name may be looked for; the upstream itself is never contacted.

    To be asked by whoever was let in and has found no package of the name, in this order: a name that is published in
    between is then known to be ours.

    Args:
        upstream: the URL of its simple index, without a slash at its end; None: there is none.
    """

    store: MetadataStore
    upstream: str | None

    async def from_project(self, visit: Visit, name: NormalizedName) -> str | None:
        """Return the URL of the name's simple page upstream, or None: it is not forwarded.

        What the project ever had is ours, and never asked for elsewhere.
        """
        if self.upstream is None:
            return None
        project = visit.project
        async with self.store.reading() as rows:
            if not await _is_wanted(rows, visit.settings, project.namespace):
                return None
            if await rows.forwarding.was_in_project(project.id, name):
                return None
        return _page_of(self.upstream, name)

    async def from_group(self, visit: GroupVisit, name: NormalizedName) -> str | None:
        """Return the URL of the name's simple page upstream, or None: it is not forwarded.

        What any project below the group ever had is ours, the caller may see it or not.
        """
        if self.upstream is None:
            return None
        async with self.store.reading() as rows:
            if not await _is_wanted(rows, visit.settings, visit.group):
                return None
            if await rows.forwarding.was_below_group(visit.group.id, name):
                return None
        return _page_of(self.upstream, name)


async def _is_wanted(rows: Reading, settings: InstanceSettings, namespace: Namespace) -> bool:
    return forwards_unknown_names(settings, await rows.forwarding.rules(namespace))


def _page_of(upstream: str, name: NormalizedName) -> str:
    return f"{upstream}/{quote(name, safe='')}/"
