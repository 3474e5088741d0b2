"""Content codings of pages: files are never encoded, since their digests are of their bytes.

Source: RFC 9110 sections 8.4.1 and 12.5.3; RFC 8878 (zstd).
"""

import asyncio
import gzip
import re
import sys
from collections.abc import Sequence
from enum import StrEnum

from services.api.header_parameters import parse_parameters

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_WORTHWHILE_BYTES = 256
"""Of less than this nothing is saved."""
_LONG_BYTES = 128 * 1024
"""What takes longer than a few milliseconds to encode, so that others would wait."""
_GZIP_LEVEL = 5
_ZSTD_LEVEL = 3
_Q = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


class Coding(StrEnum):
    """The codings that pages come in; of those that a client likes equally, the first."""

    ZSTD = "zstd"
    GZIP = "gzip"
    IDENTITY = "identity"


def choose_coding(accept_encoding: Sequence[str], *, size_bytes: int) -> Coding:
    """Return the coding that suits the client best; IDENTITY where nothing is gained, or nothing else is welcome.

    Args:
        accept_encoding: the values of all Accept-Encoding headers; none: no coding is welcome.
    """
    if size_bytes < _WORTHWHILE_BYTES:
        return Coding.IDENTITY
    welcome = _weights(accept_encoding)
    anything = welcome.get("*", 0.0)
    # Nobody needs to say that it takes what is not encoded; it is as welcome as what is least so.
    weights = {Coding.ZSTD: welcome.get("zstd", anything), Coding.GZIP: welcome.get("gzip", anything)}
    best = max(weights, key=lambda coding: weights[coding])
    return best if weights[best] > 0 and weights[best] >= welcome.get("identity", 0.0) else Coding.IDENTITY


async def encode(body: bytes, coding: Coding) -> bytes:
    """Return the body in this coding: the same bytes for the same body, so that their tag holds."""
    if coding is Coding.IDENTITY:
        return body
    if len(body) > _LONG_BYTES:
        return await asyncio.to_thread(_encode, body, coding)
    return _encode(body, coding)


def _encode(body: bytes, coding: Coding) -> bytes:
    if coding is Coding.ZSTD:
        return zstd.compress(body, _ZSTD_LEVEL)
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)


def _weights(accept_encoding: Sequence[str]) -> dict[str, float]:
    """Return the weight of each coding that is named; what is malformed says nothing."""
    found: dict[str, float] = {}
    for part in ",".join(accept_encoding).split(","):
        try:
            name, parameters = parse_parameters(part)
        except ValueError:
            continue
        weight = parameters.get("q", "1")
        if name and _Q.fullmatch(weight):
            found["gzip" if name == "x-gzip" else name] = float(weight)
    return found
