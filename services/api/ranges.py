"""Which bytes of a file a Range header asks for.

Source: RFC 9110 section 14.
"""

import re
from dataclasses import dataclass

_RANGE = re.compile(
    r"bytes[ \t]*=[ \t]*(?:(?P<first>[0-9]+)[ \t]*-[ \t]*(?P<last>[0-9]*)|-[ \t]*(?P<suffix>[0-9]+))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Whole:
    """All of it: no range was asked for, or one that is to be ignored."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of it.

    Args:
        offset: of the first byte.
        length: at least 1.
    """

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """A range that begins behind the end, or the last zero bytes."""


Range = Whole | Part | Unsatisfiable


def parse_range(header: str | None, size_bytes: int) -> Range:
    """Return what to send of a file of this size.

    Several ranges in one request are answered with the whole, as a server may: no installer asks for them.
    """
    match = _RANGE.fullmatch(header.strip(" \t")) if header is not None else None
    if match is None:
        return Whole()
    suffix = match["suffix"]
    if suffix is not None:
        length = min(_number(suffix), size_bytes)
        return Part(size_bytes - length, length) if length else Unsatisfiable()
    first = _number(match["first"])
    last = _number(match["last"]) if match["last"] else None
    if last is not None and last < first:
        return Whole()
    if first >= size_bytes:
        return Unsatisfiable()
    end = size_bytes if last is None else min(last + 1, size_bytes)
    return Part(first, end - first)


def _number(digits: str) -> int:
    # Beyond any size there is, and Python refuses to read thousands of digits.
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) < 20 else 10**20
