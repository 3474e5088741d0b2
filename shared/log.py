"""Structured logging: a fixed event name and fields, one JSON object (or one readable line) on standard error.

Use `log = structlog.get_logger()` and `log.info("package_file.accepted", file_id=7)`. Ids, not objects; never tokens,
headers or settings.
"""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

from shared.log_lines import StandardErrorLines
from shared.settings import LogFormat

# Made once; `json.dumps` with options would make one for each line.
_encode = json.JSONEncoder(default=repr).encode
_LIBRARY_LEVELS = {
    "aiohttp.access": logging.CRITICAL,  # request_log says it once, with ids
    "botocore": logging.WARNING,  # tells at INFO where it found credentials
    "aiobotocore": logging.WARNING,  # and so does this
    "arq": logging.WARNING,  # prints a job's arguments at INFO
    "alembic": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "asyncio": logging.WARNING,
}


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Lines of which nearly all is known before they are due: they are rendered once, for many.

    Args:
        process: as every line has it.
    """

    process: str
    lines: StandardErrorLines

    def form(self, event: str, fields: Mapping[str, Any], *, new: Mapping[str, str]) -> bytes:
        """Return the line as structlog would write it at level info, to be filled with what is another in each.

        Args:
            new: those of the fields that are filled in, in their order, and the form that each has: `%.6f`, `"%b"`.
                The request's id and the timestamp follow them, as bytes.
        """
        forms = {**new, "request_id": '"%b"', "timestamp": '"%b"'}
        marks = {name: f"\0{name}" for name in forms}
        told = {name: marks.get(name, value) for name, value in fields.items()}
        told |= {"event": event, "request_id": marks["request_id"], "level": "info"}
        told |= {"timestamp": marks["timestamp"], "process": self.process}
        form = _encode(told).replace("%", "%%")
        for name, mark in marks.items():
            form = form.replace(_encode(mark), forms[name])
        return f"{form}\n".encode()

    def add(self, lines: list[bytes]) -> None:
        """Write filled forms."""
        self.lines.add(lines)


def finish_logging() -> None:
    """Write the lines that wait, in this process, which has no event loop any more."""
    lines = structlog.get_config()["logger_factory"]()
    if isinstance(lines, StandardErrorLines):
        lines.finish()


def configure_logging(log_format: LogFormat, *, process: str) -> JsonLines | None:
    """Set up structlog, and the standard library's loggers through it, for the life of this process.

    Args:
        log_format: JSON for machines, console for people.
        process: bound to every line: "api", "worker", "supervisor".

    Returns:
        By what lines may be written that are due all the time; None when they are for people.
    """
    lines = StandardErrorLines()
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
        as_json = structlog.processors.JSONRenderer(lambda line, **_: _encode(line))
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
        logger_factory=lambda *_: lines,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    return JsonLines(process, lines) if log_format is LogFormat.JSON else None
