"""Structured logging: a fixed event name and fields, one JSON object (or one readable line) on standard error.

Use `log = structlog.get_logger()` and `log.info("package_file.accepted", file_id=7)`. Ids, not objects; never tokens,
headers or settings.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

import structlog

from shared.settings import LogFormat

_LIBRARY_LEVELS = {
    "aiohttp.access": logging.CRITICAL,  # request_log says it once, with ids
    "arq": logging.WARNING,  # prints a job's arguments at INFO
    "alembic": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "asyncio": logging.WARNING,
}


class StandardErrorLines:
    """Writes whole lines to standard error. One that cannot be written harms nothing but the log."""

    def msg(self, line: str) -> None:
        """Write one line."""
        with suppress(OSError, ValueError):
            sys.stderr.buffer.write(f"{line}\n".encode("utf-8", "backslashreplace"))
            sys.stderr.buffer.flush()

    debug = info = warning = error = critical = msg


def configure_logging(log_format: LogFormat, *, process: str) -> None:
    """Set up structlog, and the standard library's loggers through it, for the life of this process.

    Args:
        log_format: JSON for machines, console for people.
        process: bound to every line: "api", "worker", "supervisor".
    """
    shared_processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]

    def bind_process(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    shared_processors.append(bind_process)
    renderer: list[Any]
    if log_format is LogFormat.JSON:
        # An encoder of our own is made once; `json.dumps` with options would make one for each line.
        encode = json.JSONEncoder(default=repr).encode
        as_json = structlog.processors.JSONRenderer(lambda line, **_: encode(line))
        renderer = [structlog.processors.format_exc_info, as_json]
    else:
        # Plain: the richer formatter prints local variables, and some of those are secrets.
        plain = structlog.dev.plain_traceback
        renderer = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared_processors,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name, level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    # Our own lines go to the same place without the detour through `logging`, which costs more than all else of a line.
    structlog.configure(
        processors=[*shared_processors, *renderer],
        logger_factory=lambda *_: StandardErrorLines(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
