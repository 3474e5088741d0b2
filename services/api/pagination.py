"""Offset pagination as GitLab does it: parameters in, headers out.

Source: lib/api/pagination_params.rb, lib/gitlab/pagination/offset_header_builder.rb; contract, Packages 1.5.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from aiohttp import web

from services.api.credentials import SECRET_PARAMETERS
from services.api.origin import external_url
from shared.errors import InvalidParameters
from shared.pages import Page, PageRequest

_DEFAULT_SIZE = 20
_LARGEST_SIZE = 100
_LARGEST_NUMBER = 2**31
"""Beyond this every list is over; it keeps the offset within what databases take."""
_OF_PATH = frozenset({"id", "package_id"})
"""Parameters that count where they stand in the path, whatever the query says."""
_LONGEST_LINK = 6000
"""Clients and proxies refuse header lines of about 8,000 characters."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)

T = TypeVar("T")


def read_page_request(request: web.Request) -> PageRequest:
    """Return the page that the query asks for.

    A number below 1 is as good as 1; a size over 100 is capped.

    Raises:
        InvalidParameters: a parameter is no integer, or a page of no entries is wanted.
    """
    number = _integer(request, "page", default=1)
    size = _integer(request, "per_page", default=_DEFAULT_SIZE)
    problems = [f"{name} is invalid" for name, value in (("page", number), ("per_page", size)) if value is None]
    if size == 0:
        problems.append("per_page has a value not allowed")
    if number is None or size is None or problems:
        raise InvalidParameters(*problems)
    return PageRequest(
        number=min(max(number, 1), _LARGEST_NUMBER), size=min(size, _LARGEST_SIZE) if size > 0 else _DEFAULT_SIZE
    )


def page_headers(
    request: web.Request, wanted: PageRequest, page: Page[T], *, parameters: Mapping[str, str | int]
) -> dict[str, str]:
    """Return the headers that tell where this page stands in its list.

    Args:
        parameters: all that the endpoint knows of, path parameters and defaults included; they stand in every link,
            with those that the client sent, sorted by name. Credentials are not repeated; where the links would become
            too long for a header, neither is what is not among these.
    """
    total_pages = None if page.total is None else max(1, -(-page.total // wanted.size))
    following = wanted.number + 1 if page.has_more else None
    is_beyond = total_pages is not None and wanted.number > total_pages
    previous = wanted.number - 1 if wanted.number > 1 and not is_beyond else None
    ends = {"prev": previous, "next": following, "first": 1, "last": total_pages}
    numbers = {relation: number for relation, number in ends.items() if number is not None}
    sent = sent_parameters(request)
    links = _links(request, numbers, wanted.size, sent=sent, parameters=parameters)
    if len(links) > _LONGEST_LINK:
        known = list({name: value for name, value in sent if name in parameters}.items())
        links = _links(request, numbers, wanted.size, sent=known, parameters=parameters)
    headers = {
        "X-Per-Page": str(wanted.size),
        "X-Page": str(wanted.number),
        "X-Next-Page": "" if following is None else str(following),
        "X-Prev-Page": "" if previous is None else str(previous),
    }
    if page.total is not None:
        headers |= {"X-Total": str(page.total), "X-Total-Pages": str(total_pages)}
    return headers | {"Link": links}


def _links(
    request: web.Request,
    numbers: Mapping[str, int],
    size: int,
    *,
    sent: Sequence[tuple[str, str]],
    parameters: Mapping[str, str | int],
) -> str:
    """Return a Link header to these pages, by what each is to this one."""

    def link(number: int, relation: str) -> str:
        url = link_url(request, {"page": number, "per_page": size}, sent=sent, parameters=parameters)
        return f'<{url}>; rel="{relation}"'

    return ", ".join(link(number, relation) for relation, number in numbers.items())


def sent_parameters(request: web.Request) -> list[tuple[str, str]]:
    """Return what stands in the query, but for credentials."""
    return [pair for pair in request.query.items() if pair[0] not in SECRET_PARAMETERS]


def link_url(
    request: web.Request,
    own: Mapping[str, str | int],
    *,
    sent: Sequence[tuple[str, str]],
    parameters: Mapping[str, str | int],
) -> str:
    """Return the URL of the request with these parameters, sorted by name.

    Args:
        own: what makes it another place of the list; it stands in for what was sent of these names.
        parameters: defaults, where nothing was sent.
    """
    kept = [pair for pair in sent if pair[0] not in _OF_PATH or pair[0] not in parameters]
    names = {name for name, _ in kept}
    defaults = [pair for pair in parameters.items() if pair[0] not in names]
    pairs = [pair for pair in (*kept, *defaults) if pair[0] not in own]
    query = sorted([*pairs, *own.items()], key=lambda pair: pair[0])
    return f"{external_url(request)}{request.rel_url.raw_path}?{urlencode(query)}"


def _integer(request: web.Request, name: str, *, default: int) -> int | None:
    """Return the parameter as a number, the default when it is absent or blank, None when it is none."""
    text = request.query.getall(name, [""])[-1].strip()  # The last counts, as elsewhere.
    if not text:
        return default
    return int(text) if _INTEGER.fullmatch(text) else None
