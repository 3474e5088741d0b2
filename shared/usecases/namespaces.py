"""List and show groups and personal namespaces alike.

Source: lib/api/namespaces.rb.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import NotFound
from shared.models import AccessLevel, Namespace, NamespaceId
from shared.pages import Page, PageRequest
from shared.ports.metadata_store import MetadataStore
from shared.ports.namespace_rows import NamespaceFilter
from shared.principals import SignedIn


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NamespaceQuery:
    """Which namespaces somebody asks for.

    Args:
        search: what name or full path contain; None: anything.
        is_owned: those only that the caller owns, administrators too.
        is_top_level: those without a parent only.
    """

    search: str | None
    is_owned: bool
    is_top_level: bool


@dataclass(frozen=True, slots=True)
class ListNamespaces:
    """List namespaces."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, query: NamespaceQuery, page: PageRequest) -> Page[Namespace]:
        """Return a page of the caller's namespaces, oldest first; to administrators, of all."""
        wanted = NamespaceFilter(
            user_id=None if caller.user.is_admin and not query.is_owned else caller.user.id,
            lowest_level=AccessLevel.OWNER if query.is_owned else AccessLevel.GUEST,
            search=query.search,
            is_top_level=query.is_top_level,
        )
        async with self.store.reading() as rows:
            return await rows.namespaces.page(wanted, page, now=self.now())


@dataclass(frozen=True, slots=True)
class ShowNamespace:
    """Show a namespace."""

    store: MetadataStore
    now: Callable[[], datetime] = _now

    async def __call__(self, caller: SignedIn, ref: NamespaceId | str) -> Namespace:
        """Return the namespace.

        Args:
            ref: its number or full path.

        Raises:
            NotFound: "Namespace": there is none, or the caller has no part in it.
        """
        async with self.store.reading() as rows:
            if isinstance(ref, str):
                namespace = await rows.tenants.namespace_by_path(ref)
            else:
                namespace = await rows.tenants.namespace(ref)
            if namespace is None:
                raise NotFound("Namespace")
            level = await rows.tenants.level_in_namespace(caller.user.id, namespace, now=self.now())
        if not caller.user.is_admin and level < AccessLevel.GUEST:
            raise NotFound("Namespace")
        return namespace
