"""The metadata store on SQLAlchemy Core."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, inspect, text

from shared.errors import MetadataDamaged, SchemaUnknown
from shared.metadata.audit import SqlAuditReads, write_audit_event
from shared.metadata.change_counters import bump_counters, read_counters
from shared.metadata.deploy_tokens import SqlDeployTokenReads
from shared.metadata.doors import Door, Doors
from shared.metadata.engine import POSTGRESQL_CONNECTIONS, open_doors
from shared.metadata.faults_within import faults_within
from shared.metadata.forwarding import SqlForwardingReads
from shared.metadata.holds import SqlHoldReads, SqlHoldWrites
from shared.metadata.instance_settings import SqlSettingReads, SqlSettingWrites
from shared.metadata.inventory import SqlInventoryReads, SqlInventoryWrites
from shared.metadata.job_tokens import SqlJobTokenReads, SqlJobTokenWrites
from shared.metadata.member_reads import SqlMemberReads
from shared.metadata.member_writes import SqlMemberWrites
from shared.metadata.namespaces import SqlNamespaceReads
from shared.metadata.package_lists import SqlPackageLists
from shared.metadata.package_names import SqlPackageNameReads, SqlPackageNameWrites
from shared.metadata.package_reads import SqlPackageReads
from shared.metadata.package_writes import SqlPackageWrites
from shared.metadata.protection_rules import SqlProtectionRuleReads, SqlProtectionRuleWrites
from shared.metadata.schema import REVISION
from shared.metadata.scrub import SqlScrubReads, SqlScrubWrites
from shared.metadata.storage import SqlStorageReads, SqlStorageWrites, settle_storage
from shared.metadata.tenant_changes import SqlTenantChanges
from shared.metadata.tenant_lists import SqlTenantLists
from shared.metadata.tenant_reads import SqlTenantReads
from shared.metadata.tenant_writes import SqlTenantWrites
from shared.metadata.tokens import SqlTokenReads, SqlTokenWrites
from shared.metadata.totals import SqlTotalsReads
from shared.metadata.transaction import Transaction
from shared.metadata.users import SqlUserReads, SqlUserWrites
from shared.ports.change_checks import Scope
from shared.ports.metadata_store import AuditEvent, PoolUse

_WAIT_SECONDS = 10.0


class SqlReading:
    """Implements Reading."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.tenants = SqlTenantReads(transaction)
        self.tenant_lists = SqlTenantLists(transaction)
        self.members = SqlMemberReads(transaction)
        self.tokens = SqlTokenReads(transaction)
        self.deploy_tokens = SqlDeployTokenReads(transaction)
        self.job_tokens = SqlJobTokenReads(transaction)
        self.packages = SqlPackageReads(transaction)
        self.package_lists = SqlPackageLists(transaction)
        self.forwarding = SqlForwardingReads(transaction)
        self.protection_rules = SqlProtectionRuleReads(transaction)
        self.package_names = SqlPackageNameReads(transaction)
        self.users = SqlUserReads(transaction)
        self.namespaces = SqlNamespaceReads(transaction)
        self.settings = SqlSettingReads(transaction)
        self.storage = SqlStorageReads(transaction)
        self.scrub = SqlScrubReads(transaction)
        self.holds = SqlHoldReads(transaction)
        self.inventory = SqlInventoryReads(transaction)
        self.audit_events = SqlAuditReads(transaction)
        self.totals = SqlTotalsReads(transaction)

    async def counters(self, scopes: Iterable[Scope]) -> dict[Scope, int]:
        return await read_counters(self._transaction, scopes)


class SqlWriting:
    """Implements Writing."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.tenants = SqlTenantWrites(transaction)
        self.tenant_lists = SqlTenantLists(transaction)
        self.tenant_changes = SqlTenantChanges(transaction)
        self.members = SqlMemberWrites(transaction)
        self.tokens = SqlTokenWrites(transaction)
        self.deploy_tokens = SqlDeployTokenReads(transaction)
        self.job_tokens = SqlJobTokenWrites(transaction)
        self.packages = SqlPackageWrites(transaction)
        self.package_names = SqlPackageNameWrites(transaction)
        self.protection_rules = SqlProtectionRuleWrites(transaction)
        self.users = SqlUserWrites(transaction)
        self.settings = SqlSettingWrites(transaction)
        self.storage = SqlStorageWrites(transaction)
        self.scrub = SqlScrubWrites(transaction)
        self.holds = SqlHoldWrites(transaction)
        self.inventory = SqlInventoryWrites(transaction)

    async def audit(self, event: AuditEvent) -> None:
        await write_audit_event(self._transaction, event)


@dataclass(frozen=True, slots=True)
class SqlMetadataStore:
    """Implements MetadataStore.

    Args:
        now: the clock that stamps rows, in UTC.
    """

    doors: Doors
    now: Callable[[], datetime]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqlReading]:
        async with self._transaction(self.doors.reader) as transaction:
            yield SqlReading(transaction)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[SqlWriting]:
        async with self._transaction(self.doors.writer) as transaction:
            yield SqlWriting(transaction)
            await settle_storage(transaction)
            await bump_counters(transaction)
            await transaction.commit()

    def pools(self) -> tuple[PoolUse, ...]:
        return self.doors.pools()

    async def check_schema(self) -> None:
        async with self._transaction(self.doors.reader) as transaction:
            found = await self.doors.reader.run(transaction.connection.run_sync(_revision))
        if found != REVISION:
            raise SchemaUnknown(found, REVISION)

    async def faults(self, *, is_thorough: bool) -> tuple[str, ...]:
        try:
            async with self._transaction(self.doors.reader) as transaction:
                return await faults_within(transaction, is_thorough=is_thorough)
        except MetadataDamaged as error:
            return (str(error),)

    @asynccontextmanager
    async def _transaction(self, door: Door) -> AsyncIterator[Transaction]:
        async with door.transaction() as connection:
            yield Transaction(door, connection, self.now)


@asynccontextmanager
async def open_metadata_store(
    url: str,
    *,
    wait_seconds: float = _WAIT_SECONDS,
    connections: int = POSTGRESQL_CONNECTIONS,
    now: Callable[[], datetime] | None = None,
) -> AsyncIterator[SqlMetadataStore]:
    """Open the store; nothing connects before it is needed.

    Args:
        url: `sqlite:///<absolute path>` or `postgresql://...`.
        wait_seconds: how long a transaction may wait for a connection, and then for a lock.
        connections: how many there may be to PostgreSQL.
        now: the clock that stamps rows; None: the machine's.

    Raises:
        ValueError: the URL is neither.
    """
    async with open_doors(url, wait_seconds=wait_seconds, connections=connections) as doors:
        yield SqlMetadataStore(doors=doors, now=now or _utc_now)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
