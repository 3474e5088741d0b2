"""The audit is read newest first, span by span, and kept by the database itself."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from shared.errors import MetadataUnavailable
from shared.metadata.store import SqlMetadataStore, open_metadata_store
from shared.metadata.tables import audit_events
from shared.models import NamespaceId, ProjectId, TokenId
from shared.pages import Cursor, PageRequest
from shared.ports.audit_rows import AuditEventId, AuditFilter, RecordedEvent
from shared.ports.metadata_store import AuditEvent
from tests.contracts.metadata.plans import Planner, Query, reads_a_whole_table
from tests.contracts.metadata.sample_rows import LATER, add_user, new_project

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALL = AuditFilter()
MANY = 100_000


@dataclass(slots=True)
class Clock:
    """A clock that tests set."""

    at: datetime = field(default=START)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(database_url: str, clock: Clock) -> AsyncIterator[SqlMetadataStore]:
    async with open_metadata_store(database_url, now=clock) as opened:
        yield opened


async def write(store: SqlMetadataStore, clock: Clock, *seconds: int, **of: Any) -> None:
    """Write down one event for each moment, which its action names."""
    for second in seconds:
        clock.at = START + timedelta(seconds=second)
        async with store.writing() as rows:
            await rows.audit(AuditEvent(action=str(second), actor="system", target="instance", **of))


def actions(events: tuple[RecordedEvent, ...]) -> list[str]:
    return [event.action for event in events]


async def listed(store: SqlMetadataStore, wanted: AuditFilter) -> list[str]:
    async with store.reading() as rows:
        page = await rows.audit_events.page(wanted, PageRequest(1, 100))
        followed = await rows.audit_events.stretch(wanted, cursor=None, limit=100)
    assert page.entries == followed.entries
    assert (page.total, page.has_more, followed.next) == (len(page.entries), False, None)
    return actions(page.entries)


async def test_events_come_newest_first_and_only_those_of_the_project_or_group(
    store: SqlMetadataStore, clock: Clock
) -> None:
    await write(store, clock, 1, project_id=7)
    await write(store, clock, 2, namespace_id=7)
    await write(store, clock, 3, project_id=7, namespace_id=8)
    await write(store, clock, 4)
    assert await listed(store, ALL) == ["4", "3", "2", "1"]
    assert await listed(store, AuditFilter(project_id=ProjectId(7))) == ["3", "1"]
    assert await listed(store, AuditFilter(namespace_id=NamespaceId(7))) == ["2"]
    assert await listed(store, AuditFilter(namespace_id=NamespaceId(8))) == ["3"]
    assert await listed(store, AuditFilter(project_id=ProjectId(8))) == []


async def test_a_span_of_time_includes_both_its_ends(store: SqlMetadataStore, clock: Clock) -> None:
    await write(store, clock, 1, 2, 3, 4, project_id=7)

    async def between(first: int | None, last: int | None) -> list[str]:
        after, before = (None if at is None else START + timedelta(seconds=at) for at in (first, last))
        wanted = AuditFilter(ProjectId(7), created_after=after, created_before=before)
        return await listed(store, wanted)

    assert await between(2, 3) == ["3", "2"]
    assert await between(3, None) == ["4", "3"]
    assert await between(None, 1) == ["1"]
    assert await between(4, 3) == []


async def test_pages_and_cursors_lead_through_all_events_once_also_those_of_one_instant(
    store: SqlMetadataStore, clock: Clock
) -> None:
    await write(store, clock, 5, 3, 3, 3, 9, 1)  # The clock has gone back in between.
    everything = ["9", "5", "3", "3", "3", "1"]
    async with store.reading() as rows:
        pages = [await rows.audit_events.page(ALL, PageRequest(number, 4)) for number in (1, 2, 3)]
        assert [actions(page.entries) for page in pages] == [everything[:4], everything[4:], []]
        assert [(page.total, page.has_more) for page in pages] == [(6, True), (6, False), (6, False)]
        seen: list[RecordedEvent] = []
        cursor: Cursor | None = None
        while (found := await rows.audit_events.stretch(ALL, cursor=cursor, limit=2)).entries:
            seen += found.entries
            cursor = found.next
            if cursor is None:
                break
        assert actions(tuple(seen)) == everything
        assert len({event.id for event in seen}) == len(everything)
        back = await rows.audit_events.stretch(ALL, cursor=Cursor(seen[3].id, is_backward=True), limit=2)
        assert (back.entries, back.next) == (tuple(seen[1:3]), Cursor(seen[2].id))
        assert (await rows.audit_events.stretch(ALL, cursor=Cursor(4711), limit=2)).entries == ()


async def test_an_event_says_who_acted_and_where(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with store.writing() as rows:
        ada = await add_user(rows, "auditor")
        personal = await rows.tokens.add_personal(ada.id, digest="personal", name="laptop", scopes=(), expires_at=LATER)
        deploy = await rows.tokens.add_deploy(
            project, digest="deploy", name="ci", username=None, scopes=(), expires_at=LATER, creator_id=ada.id
        )
        told: list[tuple[str, TokenId | None]] = [
            (f"user:{ada.id}", personal.id),
            (f"job_token:{personal.id}", personal.id),  # of whom the token tells that it acts as Ada
            (f"deploy_token:{deploy.id}", deploy.id),
            ("worker", None),
        ]
        for actor, token_id in told:
            event = AuditEvent(action="a", actor=actor, target="b", project_id=project.id, token_id=token_id)
            await rows.audit(event)
        await rows.audit(AuditEvent("a", "system", "b", namespace_id=project.namespace.id, details={"k": 1, "n": None}))
    async with store.reading() as rows:
        page = await rows.audit_events.page(AuditFilter(project_id=project.id), PageRequest(1, 9))
        named = [(event.actor, event.token_id, event.author_id, event.author_name) for event in page.entries]
        assert named == [
            (actor, token_id, *((ada.id, ada.name) if number < 2 else (None, None)))
            for number, (actor, token_id) in reversed(list(enumerate(told)))
        ]
        assert {event.project_path for event in page.entries} == {project.full_path}
        assert [event.details for event in page.entries] == [{}] * 4
        [of_group] = (
            await rows.audit_events.page(AuditFilter(namespace_id=project.namespace.id), PageRequest(1, 9))
        ).entries
        assert (of_group.namespace_path, of_group.project_path) == (project.namespace.full_path, None)
        assert of_group.details == {"k": 1, "n": None}


async def test_one_event_is_found_among_those_that_it_belongs_to(store: SqlMetadataStore, clock: Clock) -> None:
    await write(store, clock, 1, project_id=7)
    async with store.reading() as rows:
        [event] = (await rows.audit_events.page(ALL, PageRequest(1, 1))).entries
        assert await rows.audit_events.event(ALL, event.id) == event
        assert await rows.audit_events.event(AuditFilter(project_id=ProjectId(7)), event.id) == event
        assert await rows.audit_events.event(AuditFilter(project_id=ProjectId(8)), event.id) is None
        assert await rows.audit_events.event(ALL, AuditEventId(4711)) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda: update(audit_events).values(actor="somebody else"),
        lambda: delete(audit_events),
        lambda: text("TRUNCATE audit_events"),  # which SQLite does not even know
    ],
)
async def test_no_statement_changes_or_removes_an_event(
    change: Callable[[], Any], store: SqlMetadataStore, clock: Clock
) -> None:
    await write(store, clock, 1)
    with pytest.raises((DBAPIError, MetadataUnavailable)):
        async with store.writing() as rows:
            await rows._transaction.change(change())
    assert await listed(store, ALL) == ["1"]


def _page(wanted: AuditFilter) -> Query:
    return lambda rows: rows.audit_events.page(wanted, PageRequest(40, 20))


def _stretch(wanted: AuditFilter, cursor: Cursor) -> Query:
    return lambda rows: rows.audit_events.stretch(wanted, cursor=cursor, limit=20)


OF = {
    "by_time": ALL,
    "of_project": AuditFilter(project_id=ProjectId(7)),
    "of_namespace": AuditFilter(namespace_id=NamespaceId(7)),
}
SPAN = {"created_after": START, "created_before": START + timedelta(hours=20)}


def _queries(wanted: AuditFilter) -> dict[str, Query]:
    within = AuditFilter(wanted.project_id, wanted.namespace_id, **SPAN)
    return {
        "page": _page(wanted),
        "page within": _page(within),
        "stretch": _stretch(wanted, Cursor(MANY // 2)),
        "stretch within": _stretch(within, Cursor(MANY // 2)),
        "stretch back": _stretch(wanted, Cursor(MANY // 2, is_backward=True)),
    }


@pytest.mark.slow
async def test_lists_of_a_hundred_thousand_events_are_read_off_an_index(
    store: SqlMetadataStore, engine: str, request: pytest.FixtureRequest
) -> None:
    own = {"action": "a", "actor": "user:1", "target": "instance", "token_id": None, "details": None}
    events = [
        {
            **own,
            "created_at": START + timedelta(seconds=number),
            "project_id": number % 100 + 8 if number % 5 else 7,
            "namespace_id": None if number % 7 else 7,
        }
        for number in range(MANY)
    ]
    async with store.writing() as rows:
        await rows._transaction.connection.run_sync(lambda connection: connection.execute(insert(audit_events), events))
    planner = Planner(store, engine, request)
    planner.look_at_the_rows()
    for name, wanted in OF.items():
        for query_name, query in _queries(wanted).items():
            plan = await planner.plan_of(query)
            whole = [line for line in plan if "audit_events" in line and reads_a_whole_table(line)]
            sorted_by_hand = [line for line in plan if "TEMP B-TREE" in line or line.lstrip("-> ").startswith("Sort")]
            if engine == "postgresql" and query_name.startswith("page"):
                whole.clear()  # It may count the first 10,001 as they lie: where many will do, an index costs more.
            assert (whole, sorted_by_hand) == ([], []), (name, query_name, plan)
            assert f"ix_audit_events_{name}" in " ".join(plan), (name, query_name, plan)
    async with store.reading() as rows:
        page = await rows.audit_events.page(OF["of_project"], PageRequest(1, 20))
    assert (page.total, page.has_more, len(page.entries)) == (None, True, 20)
