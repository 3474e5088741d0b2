"""Keyset pagination as GitLab does it: a cursor that comes out of one answer goes into the next question.

Source: lib/gitlab/pagination/keyset/paginator.rb, header_builder.rb; contract, Packages 5.2.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import hdrs, web

from services.api.pagination import link_url, sent_parameters
from services.api.problems import KeysetUnavailable
from shared.errors import InvalidParameters
from shared.pages import Cursor

_DEFAULT_SIZE = _LARGEST_SIZE = 20
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_ENCODED = re.compile(r"[A-Za-z0-9_-]{1,200}={0,2}", re.ASCII)
_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_FORWARD, _BACKWARD = "n", "p"


@dataclass(frozen=True, slots=True)
class KeysetRequest:
    """Which entries of a list are wanted.

    Args:
        size: how many at most.
        cursor: None: those at its beginning.
    """

    size: int
    cursor: Cursor | None


def read_keyset_request(request: web.Request) -> KeysetRequest:
    """Return what the query asks for; the number of a page is checked, and counts for nothing.

    Raises:
        InvalidParameters: a number is none, the size is none that is offered, or the cursor is none of ours.
    """
    query, problems = request.query, []
    page, size = query.get("page", "").strip(), query.get("per_page", "").strip() or str(_DEFAULT_SIZE)
    if page and not _INTEGER.fullmatch(page):
        problems.append("page is invalid")
    if not _INTEGER.fullmatch(size):
        problems.append("per_page is invalid")
    elif not 1 <= int(size) <= _LARGEST_SIZE:
        problems.append("per_page does not have a valid value")
    text = query.get("cursor", "").strip()
    cursor = _decode(text)
    if text and cursor is None:
        problems.append("cursor is invalid")
    if problems:
        raise InvalidParameters(*problems)
    return KeysetRequest(size=int(size), cursor=cursor)


def require_newest_first(request: web.Request) -> None:
    """Refuse every order but the one that the cursors are made for.

    Raises:
        KeysetUnavailable: another one is wanted.
    """
    if request.query.get("order_by", "id") != "id" or request.query.get("sort", "desc") != "desc":
        raise KeysetUnavailable


def keyset_headers(
    request: web.Request, wanted: KeysetRequest, following: Cursor | None, *, parameters: Mapping[str, str | int]
) -> dict[str, str]:
    """Return the header that leads to the entries behind these; none when there are none.

    Args:
        parameters: those of the path, which stand in the link with all that was sent.
    """
    if following is None:
        return {}
    known = {"page": 1, "pagination": "keyset", "per_page": wanted.size, **parameters}
    sent = [pair for pair in sent_parameters(request) if pair[0] in known or pair[0] in ("order_by", "sort")]
    url = link_url(request, {"cursor": _encode(following)}, sent=sent, parameters=known)
    return {hdrs.LINK: f'<{url}>; rel="next"'}


def _encode(cursor: Cursor) -> str:
    direction = _BACKWARD if cursor.is_backward else _FORWARD
    told = json.dumps({"id": str(cursor.id), "_kd": direction}, separators=(",", ":"))
    return base64.urlsafe_b64encode(told.encode()).decode()


def _decode(text: str) -> Cursor | None:
    if not _ENCODED.fullmatch(text):
        return None
    bare = text.rstrip("=")
    try:
        told = json.loads(base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)))
    except (binascii.Error, ValueError):
        return None
    if not isinstance(told, dict) or told.keys() != {"id", "_kd"}:
        return None
    number, direction = told["id"], told["_kd"]
    if not isinstance(number, str) or not _ID.fullmatch(number) or direction not in (_FORWARD, _BACKWARD):
        return None
    return Cursor(int(number), is_backward=direction == _BACKWARD)
