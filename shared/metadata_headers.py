"""The fields of METADATA and PKG-INFO, parsed within bounds: anybody may have written them."""

import re
from email.errors import MessageError

from packaging.metadata import RawMetadata, parse_email

from shared.errors import DistributionRejected

MAX_FIELDS = 10_000
"""Lines, and not names: a field that may be there several times counts as often. Each may cost a parser's run."""
MAX_NAMES = 100
"""Spellings, too. The email package looks for each among all fields; the standard knows 35."""

# What the email package takes for a line of the header: a field, its continuation, or the envelope's sender.
_LINE = re.compile(rb"(From |[\x21-\x39\x3b-\x7e]*:|[\t ])[^\n]*(?:\n|\Z)")
_CONTINUATIONS = frozenset({b" ", b"\t"})
# They would make an email of several parts of it, and mean nothing here.
_PASSED_OVER = re.compile(rb"(?:content-|mime-).*", re.IGNORECASE)


def parse_fields(raw: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """Return what `packaging.metadata.parse_email` returns, in a time that grows with the size alone.

    The body is the description and nothing else, whatever headers of an email are there.

    Raises:
        DistributionRejected: there are more fields, or more names of fields, than any distribution needs.
    """
    header, body = _split(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    try:
        fields, unparsed = parse_email(header)
    except (ValueError, LookupError, MessageError) as error:
        raise DistributionRejected("metadata cannot be parsed") from error
    if body:
        _describe(fields, unparsed, body)
    return fields, unparsed


def _split(text: bytes) -> tuple[bytes, bytes]:
    kept: list[bytes] = []
    names: set[bytes] = set()
    count = end = 0
    is_kept = True
    while line := _LINE.match(text, end):
        end = line.end()
        name = line[1]
        if name not in _CONTINUATIONS:
            count += 1
            names.add(name)
            if count > MAX_FIELDS:
                raise DistributionRejected(f"metadata has more than {MAX_FIELDS} fields")
            if len(names) > MAX_NAMES:
                raise DistributionRejected(f"metadata has fields of more than {MAX_NAMES} names")
            is_kept = not _PASSED_OVER.match(name)
        if is_kept:
            kept.append(line[0])
    return b"".join(kept) + b"\n", text[end:].removeprefix(b"\n")


def _describe(fields: RawMetadata, unparsed: dict[str, list[str]], body: bytes) -> None:
    """Add the body as the description; where a field claims to be that too, nobody knows which one is."""
    if "description" in fields or "description" in unparsed:
        fields.pop("description", None)
        unparsed["description"] = []
        return
    try:
        fields["description"] = body.decode()
    except UnicodeDecodeError:
        unparsed["description"] = []
