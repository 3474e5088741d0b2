"""Nobody gets a stale answer: two API processes remember what they answer, and somebody writes all the time."""

from collections.abc import Mapping

import pytest

from shared.metadata.change_checks import SqliteChecks
from shared.metadata.package_reads import SqlPackageReads
from shared.metadata.tokens import SqlTokenReads
from shared.ports.change_checks import Stamps
from shared.settings import Settings
from tests.api.registry import ROOT_TOKEN, running_registry, running_worker
from tests.stale_answers import Door, Findings, look_for_stale_answers


async def look(settings: Settings, *, tellers: int, writes: int) -> Findings:
    async with running_registry(settings) as here, running_registry(settings) as there, running_worker(settings):
        doors = [Door(one.url, one.session) for one in (here, there)]
        return await look_for_stale_answers(doors, ROOT_TOKEN, tellers=tellers, writes=writes, seed=7)


async def test_every_process_tells_what_was_written_from_the_next_request_on(settings: Settings) -> None:
    findings = await look(settings, tellers=2, writes=20)
    assert findings.stale == []
    assert findings.checks == 2 * (11 + 10) * 21
    assert len(findings.writes) >= 8


async def _always(_self: object, _stamps: Stamps) -> bool:
    return True


async def _of_nothing(*_: object) -> Mapping[object, int]:
    return {}


async def _of_nobody(*_: object) -> frozenset[object]:
    return frozenset()


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        (SqliteChecks, "hold", _always),
        pytest.param(SqlPackageReads, "counters", _of_nothing, marks=pytest.mark.slow),
        pytest.param(SqlTokenReads, "scopes_of", _of_nobody, marks=pytest.mark.slow),
    ],
    ids=["a look that sees nothing", "pages that nothing is counted for", "tokens that nothing is counted for"],
)
async def test_what_is_broken_is_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, where: type, name: str, broken: object
) -> None:
    monkeypatch.setattr(where, name, broken)
    findings = await look(settings, tellers=1, writes=20)
    assert findings.stale != []
