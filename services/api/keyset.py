"""Keyset pagination as GitLab does it: a cursor that comes out of one answer goes into the next question.

Source: lib/gitlab/pagination/keyset/header_builder.rb; lib/api/helpers/pagination_strategies.rb; contract,
Packages 5.2.
"""

from collections.abc import Mapping

from aiohttp import hdrs, web

from services.api.pagination import link_url, sent_parameters
from services.api.problems import KeysetUnavailable
from services.api.schemas.keyset import KeysetRequest, encode_cursor
from shared.pages import Cursor

_ORDER = {"order_by": "id", "sort": "desc"}


def require_newest_first(request: web.Request) -> None:
    """Refuse every order but the one that the cursors are made for.

    Raises:
        KeysetUnavailable: another one is wanted.
    """
    if any(request.query.get(name, only) != only for name, only in _ORDER.items()):
        raise KeysetUnavailable


def keyset_headers(
    request: web.Request, wanted: KeysetRequest, following: Cursor | None, *, parameters: Mapping[str, str | int]
) -> dict[str, str]:
    """Return the header that leads to the entries behind these; none when there are none.

    Args:
        parameters: those of the path, which stand in the link with what was sent of those that count here.
    """
    if following is None:
        return {}
    known = {"page": 1, "pagination": "keyset", "per_page": wanted.size, **parameters}
    own = {"cursor": encode_cursor(following), "pagination": "keyset"}
    sent = {name: value for name, value in sent_parameters(request) if name in known or name in _ORDER}
    url = link_url(request, own, sent=list(sent.items()), parameters=known)
    return {hdrs.LINK: f'<{url}>; rel="next"'}
