"""Counts in each API process how often change counters were looked at; the count is written when the process ends."""

import atexit
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

_counted: Counter[str] = Counter()


def _watch(kind: Any) -> None:
    hold: Callable[[Any, Any], Awaitable[bool]] = kind.hold

    async def counted(self: Any, stamps: Any) -> bool:
        holds = await hold(self, stamps)
        _counted["looks"] += 1
        _counted["held"] += holds
        return holds

    kind.hold = counted


def _write() -> None:
    Path(os.environ["COUNTED_CHECKS"], str(os.getpid())).write_text(json.dumps(_counted), encoding="ascii")


if "api" in sys.orig_argv and "COUNTED_CHECKS" in os.environ:
    from shared.metadata.change_checks import PostgresqlChecks, SqliteChecks

    _watch(SqliteChecks)
    _watch(PostgresqlChecks)
    atexit.register(_write)
