"""Nobody gets a stale answer from any API process of one `larder serve`, while somebody writes all the time."""

from pathlib import Path

import pytest

from tests.doors import SessionDoor
from tests.e2e.pinned_sessions import pinned_sessions
from tests.e2e.processes import running_larder
from tests.stale_answers import look_for_stale_answers

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

_AT_ONCE = 6


async def test_twenty_thousand_answers_tell_what_was_written_before_they_were_asked_for(tmp_path: Path) -> None:
    # Tokens that have ended are tried all the time.
    with running_larder(tmp_path / "var", {"AUTH_FAILURES_PER_MINUTE": "1000000"}) as larder:
        async with pinned_sessions(larder.url, larder.pids("larder api"), each=_AT_ONCE) as sessions:
            doors = [SessionDoor.of(larder.url, *of_one) for of_one in sessions.values()]
            findings = await look_for_stale_answers(doors, larder.token, tellers=4, writes=244, seed=11)
    assert findings.stale == []
    assert len(doors) == 2
    assert findings.checks == 20_090
    assert sum(findings.writes.values()) == 4 * 244
