"""Whether the client has the file already, or only part of it: conditional requests.

Source: RFC 9110 section 13.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy

Headers = CIMultiDict[str] | CIMultiDictProxy[str]

_WITHIN_A_SECOND = timedelta(microseconds=999_999)
_WITHIN_A_MILLISECOND = timedelta(microseconds=999)
_TAG = re.compile(r'[ \t]*(?P<weak>W/)?"(?P<value>[^"]*)"[ \t]*(?:,|$)')


def http_date(instant: datetime) -> str:
    """Return the instant as HTTP writes it, to the second before."""
    return format_datetime(instant.astimezone(UTC).replace(microsecond=0), usegmt=True)


def strong_etag(sha256: str) -> str:
    """Return the entity tag of bytes with this digest."""
    return f'"{sha256}"'


def precondition_fails(headers: Headers, *, etag: str, modified_at: datetime | None) -> bool:
    """Say whether the client wants nothing unless it is what the client knows: 412."""
    if hdrs.IF_MATCH in headers:
        return not _lists(headers, hdrs.IF_MATCH, etag, weakly=False)
    since = _date(headers.get(hdrs.IF_UNMODIFIED_SINCE))
    return since is not None and modified_at is not None and _seconds(modified_at) > since


def unmodified_since(headers: Headers) -> datetime | None:
    """Return the last instant at which the client wants to have seen what it acts on; None when it does not mind.

    Its time may be one of HTTP, which goes to the second, or of ISO 8601 as our JSON has it, to the millisecond: what
    happened within that second or millisecond still counts as seen. Anything else is ignored.
    """
    text = headers.get(hdrs.IF_UNMODIFIED_SINCE)
    since = _date(text)
    if since is not None:
        return since + _WITHIN_A_SECOND
    try:
        seen_at = datetime.fromisoformat(text or "")
        return seen_at.replace(tzinfo=seen_at.tzinfo or UTC).astimezone(UTC) + _WITHIN_A_MILLISECOND
    except (ValueError, OverflowError):
        return None


def is_known(headers: Headers, *, etag: str, modified_at: datetime | None) -> bool:
    """Say whether what the client has is still good: 304."""
    if hdrs.IF_NONE_MATCH in headers:
        return _lists(headers, hdrs.IF_NONE_MATCH, etag, weakly=True)
    since = _date(headers.get(hdrs.IF_MODIFIED_SINCE))
    return since is not None and modified_at is not None and _seconds(modified_at) <= since


def range_is_wanted(headers: Headers, *, etag: str, modified_at: datetime | None) -> bool:
    """Say whether a Range counts: not when If-Range names something else than what is here."""
    condition = headers.get(hdrs.IF_RANGE)
    if condition is None:
        return True
    if condition.strip().startswith(('"', "W/")):
        return condition.strip() == etag
    return modified_at is not None and _date(condition) == _seconds(modified_at)


def _lists(headers: Headers, name: str, etag: str, *, weakly: bool) -> bool:
    value = ",".join(headers.getall(name))
    if value.strip() == "*":
        return True
    position = 0
    while match := _TAG.match(value, position):
        if f'"{match["value"]}"' == etag and (weakly or not match["weak"]):
            return True
        position = match.end()
        if position == len(value):
            break
    return False


def _seconds(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(microsecond=0)


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        parsed = parsedate_to_datetime(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
