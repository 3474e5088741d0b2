"""The port to the rows: one transaction at a time, in the words of the registry.

`MetadataStore.reading()` and `.writing()` open a transaction and hand out its `Reading` or `Writing`, which group the
calls by what they are about. Nothing of a transaction is seen before `writing()` is left without an exception.
"""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from shared.ports.audit_rows import AuditReads
from shared.ports.change_checks import Scope
from shared.ports.deploy_token_rows import DeployTokenReads
from shared.ports.forwarding_rows import ForwardingReads
from shared.ports.hold_rows import HoldReads, HoldWrites
from shared.ports.inventory_rows import InventoryReads, InventoryWrites
from shared.ports.job_token_rows import JobTokenReads, JobTokenWrites
from shared.ports.member_rows import MemberReads, MemberWrites
from shared.ports.namespace_rows import NamespaceReads
from shared.ports.package_lists import PackageLists
from shared.ports.package_name_rows import PackageNameReads, PackageNameWrites
from shared.ports.package_rows import PackageReads, PackageWrites
from shared.ports.protection_rows import ProtectionRuleReads, ProtectionRuleWrites
from shared.ports.scrub_rows import ScrubReads, ScrubWrites
from shared.ports.setting_rows import SettingReads, SettingWrites
from shared.ports.storage_rows import StorageReads, StorageWrites
from shared.ports.tenant_changes import TenantChanges
from shared.ports.tenant_lists import TenantLists
from shared.ports.tenant_rows import TenantReads, TenantWrites
from shared.ports.token_rows import TokenReads, TokenWrites
from shared.ports.totals_rows import TotalsReads
from shared.ports.user_rows import UserReads, UserWrites


class Reading(Protocol):
    """Rows as of now; on one connection that is outside a write transaction."""

    @property
    def tenants(self) -> TenantReads:
        """Return the calls about users, groups, projects and members."""
        ...

    @property
    def tenant_lists(self) -> TenantLists:
        """Return the calls that list groups and projects for somebody."""
        ...

    @property
    def members(self) -> MemberReads:
        """Return the calls about the members of groups and projects."""
        ...

    @property
    def tokens(self) -> TokenReads:
        """Return the calls about access tokens."""
        ...

    @property
    def deploy_tokens(self) -> DeployTokenReads:
        """Return the calls that list and show deploy tokens."""
        ...

    @property
    def job_tokens(self) -> JobTokenReads:
        """Return the calls about CI jobs and where they are let in."""
        ...

    @property
    def packages(self) -> PackageReads:
        """Return the calls about packages and their files."""
        ...

    @property
    def package_names(self) -> PackageNameReads:
        """Return the calls about package names as a whole."""
        ...

    @property
    def package_lists(self) -> PackageLists:
        """Return the calls that list packages for somebody."""
        ...

    @property
    def forwarding(self) -> ForwardingReads:
        """Return the calls about names that were never here."""
        ...

    @property
    def protection_rules(self) -> ProtectionRuleReads:
        """Return the calls about package protection rules."""
        ...

    @property
    def users(self) -> UserReads:
        """Return the calls about users as a list."""
        ...

    @property
    def namespaces(self) -> NamespaceReads:
        """Return the calls about groups and personal namespaces as one list."""
        ...

    @property
    def settings(self) -> SettingReads:
        """Return the calls about what administrators decide for the instance."""
        ...

    @property
    def storage(self) -> StorageReads:
        """Return the calls about how much projects hold."""
        ...

    @property
    def scrub(self) -> ScrubReads:
        """Return the calls about looking at stored bytes again."""
        ...

    @property
    def holds(self) -> HoldReads:
        """Return the calls that keep blobs from being destroyed."""
        ...

    @property
    def inventory(self) -> InventoryReads:
        """Return the calls that go through all rows."""
        ...

    @property
    def audit_events(self) -> AuditReads:
        """Return the calls that read who did what."""
        ...

    @property
    def totals(self) -> TotalsReads:
        """Return the calls that count what the whole registry holds."""
        ...

    async def counters(self, scopes: Iterable[Scope]) -> dict[Scope, int]:
        """Return how often each scope has changed, in the snapshot of all other calls; 0 for one that never has."""
        ...


class Writing(Protocol):
    """One write transaction.

    Every change of what a reader could see is noted by the store, which bumps the change counters of the touched
    scopes last, in sorted order, in this transaction. Bookkeeping (last used, leases) bumps nothing.
    """

    @property
    def tenants(self) -> TenantWrites:
        """Return the calls about users, groups, projects and members."""
        ...

    @property
    def tenant_lists(self) -> TenantLists:
        """Return the calls that list groups, projects and members."""
        ...

    @property
    def tenant_changes(self) -> TenantChanges:
        """Return the calls that change and delete groups and projects."""
        ...

    @property
    def members(self) -> MemberWrites:
        """Return the calls about the members of groups and projects."""
        ...

    @property
    def tokens(self) -> TokenWrites:
        """Return the calls about access tokens."""
        ...

    @property
    def deploy_tokens(self) -> DeployTokenReads:
        """Return the calls that list and show deploy tokens."""
        ...

    @property
    def job_tokens(self) -> JobTokenWrites:
        """Return the calls about CI jobs and where they are let in."""
        ...

    @property
    def packages(self) -> PackageWrites:
        """Return the calls about packages and their files."""
        ...

    @property
    def package_names(self) -> PackageNameWrites:
        """Return the calls about package names as a whole."""
        ...

    @property
    def protection_rules(self) -> ProtectionRuleWrites:
        """Return the calls about package protection rules."""
        ...

    @property
    def users(self) -> UserWrites:
        """Return the calls about users as a list, and about their state."""
        ...

    @property
    def settings(self) -> SettingWrites:
        """Return the calls about what administrators decide for the instance."""
        ...

    @property
    def storage(self) -> StorageWrites:
        """Return the calls about how much projects hold, and that count anew."""
        ...

    @property
    def scrub(self) -> ScrubWrites:
        """Return the calls about looking at stored bytes again."""
        ...

    @property
    def holds(self) -> HoldWrites:
        """Return the calls that keep blobs from being destroyed."""
        ...

    @property
    def inventory(self) -> InventoryWrites:
        """Return the calls that go through all rows."""
        ...

    async def audit(self, event: "AuditEvent") -> None:
        """Write down who did what, in this transaction."""
        ...


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to what.

    Args:
        action: a fixed name: "package_file.uploaded", "project.created".
        actor: "user:7", "deploy_token:3", "worker", "system".
        target: "project:4", "package_file:19".
        details: fixed keys with short values; never a secret.
    """

    action: str
    actor: str
    target: str
    project_id: int | None = None
    namespace_id: int | None = None
    token_id: int | None = None
    details: dict[str, str | int | None] | None = None


@dataclass(frozen=True, slots=True)
class PoolUse:
    """What this process does with a pool of connections to the database.

    Args:
        name: `readers` and `writer` on SQLite, `server` on PostgreSQL.
        in_use: connections that are in a transaction.
        idle: open ones that wait for the next.
        waiting: transactions that wait for a connection.
        limit: how many may be in use.
    """

    name: str
    in_use: int
    idle: int
    waiting: int
    limit: int


class MetadataStore(Protocol):
    """SQLite or PostgreSQL."""

    def reading(self) -> AbstractAsyncContextManager[Reading]:
        """Open a read.

        Raises:
            MetadataUnavailable: the database does not answer in time.
        """
        ...

    def writing(self) -> AbstractAsyncContextManager[Writing]:
        """Open a write transaction: committed when the block ends, rolled back when it raises.

        Keep it short: on SQLite one writer goes at a time. Await nothing but this transaction inside it.

        Raises:
            MetadataUnavailable: the database does not answer in time, or the commit failed.
            StorageFull: the disk takes no more.
        """
        ...

    def pools(self) -> tuple[PoolUse, ...]:
        """Return how much this process asks of the database at this instant."""
        ...

    async def check_schema(self) -> None:
        """Return when the database answers and holds the schema of this version.

        Raises:
            SchemaUnknown: it holds another.
            MetadataUnavailable: it does not answer.
        """
        ...

    async def faults(self, *, is_thorough: bool) -> tuple[str, ...]:
        """Have the database look for damage within itself; return a line for each, none when all is well.

        Args:
            is_thorough: it compares its indexes with their tables, too. Where the engine offers nothing of the kind
                (PostgreSQL), nothing is found.

        Raises:
            MetadataUnavailable: it does not answer.
        """
        ...
