"""Where else a name may be looked for that was never here."""

from dataclasses import dataclass
from urllib.parse import quote

from shared.forwarding import forwards_unknown_names
from shared.names import NormalizedName
from shared.ports.metadata_store import MetadataStore, Reading
from shared.usecases.visits import AnyVisit, GroupVisit, Visit


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

    async def __call__(self, visit: AnyVisit, name: NormalizedName) -> str | None:
        """Return the URL of the name's simple page upstream, or None: it is not forwarded.

        What the project ever had is ours and never asked for elsewhere; of a group, what any project below it ever had,
        the visitor may see it or not.
        """
        if self.upstream is None:
            return None
        async with self.store.reading() as rows:
            if not await _is_wanted(rows, visit) or await _is_ours(rows, visit, name):
                return None
        return f"{self.upstream}/{quote(name, safe='')}/"


async def _is_wanted(rows: Reading, visit: AnyVisit) -> bool:
    namespace = visit.group if isinstance(visit, GroupVisit) else visit.project.namespace
    return forwards_unknown_names(visit.settings, await rows.forwarding.rules(namespace))


async def _is_ours(rows: Reading, visit: AnyVisit, name: NormalizedName) -> bool:
    match visit:
        case Visit(project=project):
            return await rows.forwarding.was_in_project(project.id, name)
        case GroupVisit(group=group):
            return await rows.forwarding.was_below_group(group.id, name)
