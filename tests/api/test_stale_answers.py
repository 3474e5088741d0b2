"""Nobody gets a stale answer: two API processes remember what they answer, and somebody writes all the time."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from shared.metadata.change_checks import SqliteChecks
from shared.metadata.package_reads import SqlPackageReads
from shared.metadata.tokens import SqlTokenReads
from shared.ports.change_checks import Stamps
from shared.settings import Settings
from tests.api.registry import ROOT_TOKEN, running_registry, running_worker
from tests.backends import PostgresqlServer, postgresql_database, postgresql_server
from tests.doors import SessionDoor
from tests.stale_answers import Findings, look_for_stale_answers

__all__ = ["postgresql_database", "postgresql_server"]

_AT_ONCE = 12


@pytest.fixture(autouse=True)
def every_change_is_counted() -> None:
    """Take the place of the one that fails where nothing is counted: so it is here, on purpose."""


@pytest.fixture
def on_postgresql(settings: Settings, postgresql_server: PostgresqlServer, postgresql_database: str) -> Settings:
    """Give the settings of a registry on PostgreSQL."""
    postgresql_server.empty_database(postgresql_database)
    return replace(settings, database_url=postgresql_server.url(postgresql_database))


async def look(settings: Settings, *, tellers: int, writes: int) -> Findings:
    findings, _ = await look_beneath_the_parser(settings, tellers=tellers, writes=writes)
    return findings


async def look_beneath_the_parser(settings: Settings, *, tellers: int, writes: int) -> tuple[Findings, Counter[str]]:
    """Look for stale answers; return what became of those that were ready, too."""
    ready: Counter[str] = Counter()
    async with running_registry(settings) as here, running_registry(settings) as there, running_worker(settings):
        doors = [SessionDoor.of(one.url, *[one.session] * _AT_ONCE) for one in (here, there)]
        findings = await look_for_stale_answers(doors, ROOT_TOKEN, tellers=tellers, writes=writes, seed=7)
        for one in (here.ready_answers, there.ready_answers):
            if one is not None:
                ready += Counter(given=one.given, outdated=one.outdated)
    return findings, ready


async def test_every_process_tells_what_was_written_from_the_next_request_on(settings: Settings) -> None:
    findings, ready = await look_beneath_the_parser(settings, tellers=2, writes=14)
    assert findings.stale == []
    assert findings.checks == 2 * (11 + 10) * 15
    assert len(findings.writes) >= 6
    assert ready["given"] > 100
    assert ready["outdated"] > 100


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_process_tells_what_was_written_on_postgresql_too(on_postgresql: Settings) -> None:
    findings = await look(on_postgresql, tellers=2, writes=30)
    assert findings.stale == []
    assert findings.checks == 2 * (11 + 10) * 31


async def _always(_self: object, _stamps: Stamps) -> bool:
    return True


def _none(_: Iterable[Stamps]) -> Stamps:
    return Stamps({})


async def _of_nothing(*_: object, **__: object) -> Mapping[object, int]:
    return {}


async def _of_nobody(*_: object) -> frozenset[object]:
    return frozenset()


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        pytest.param(
            SqliteChecks, "hold", _always, marks=[pytest.mark.slow, pytest.mark.embedded("breaks a look into SQLite")]
        ),
        (Stamps, "of_all", _none),
        pytest.param(SqlPackageReads, "counters", _of_nothing, marks=pytest.mark.slow),
        pytest.param(SqlTokenReads, "scopes_of", _of_nobody, marks=pytest.mark.slow),
    ],
    ids=[
        "a look that sees nothing",
        "ready answers that nothing is counted for",
        "pages that nothing is counted for",
        "tokens that nothing is counted for",
    ],
)
async def test_what_is_broken_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, where: type, name: str, broken: object
) -> None:
    monkeypatch.setattr(where, name, broken)
    findings = await look(settings, tellers=1, writes=14)
    assert findings.stale != []
