"""Keys of blobs: `YYYY/MM/DD/<uuid7>`, both halves from the instant at which the upload began, in UTC.

The day lets a sweep look at old blobs only; the uuid tells the instant to the millisecond.
"""

import re
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.models import BlobKey

_KEY = re.compile(
    r"(?P<day>[0-9]{4}/[0-9]{2}/[0-9]{2})/"
    r"(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def new_blob_key(now: datetime) -> BlobKey:
    """Return a key that nobody has used.

    Args:
        now: when the upload began; aware, not before 1970. Keys of later microseconds sort later.

    Raises:
        ValueError: `now` is naive or before 1970.
    """
    if now.utcoffset() is None:
        raise ValueError("the start of an upload must be an aware time")
    microseconds = (now - _EPOCH) // _MICROSECOND
    if microseconds < 0:
        raise ValueError("the start of an upload cannot be before 1970")
    day = now.astimezone(UTC).date().isoformat().replace("-", "/")
    return BlobKey(f"{day}/{_uuid7(microseconds)}")


def check_blob_key(key: str) -> BlobKey:
    """Return the key as it is when it has the one form that keys have.

    Raises:
        ValueError: it has not, or its day is not that of its uuid.
    """
    started_at(key)
    return BlobKey(key)


def started_at(key: str) -> datetime:
    """Return when the upload behind a key began, in UTC, to the millisecond.

    Raises:
        ValueError: the key has another form, or its day is not that of its uuid.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError("not a blob key")
    milliseconds = int(match["uuid"].replace("-", "")[:12], 16)
    try:
        started = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise ValueError("not a blob key") from error
    if match["day"] != started.date().isoformat().replace("-", "/"):
        raise ValueError("the day of a blob key must be that of its uuid")
    return started


def _uuid7(microseconds: int) -> UUID:
    """Return a UUIDv7 whose 12 bits after the version hold the fraction of the millisecond, the rest being random.

    Source: RFC 9562, sections 5.7 and 6.2 (method 3).
    """
    milliseconds, fraction = divmod(microseconds, 1000)
    value = milliseconds << 80
    value |= 0x7 << 76
    value |= (fraction * 4096 // 1000) << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return UUID(int=value)
