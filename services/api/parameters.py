"""Read the parameters of a request that is no upload: JSON or a form in the body, and the query of the URL.

Source: GitLab's API takes parameters in any of these places (Grape merges them; the body wins).
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Never, TypeVar
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from services.api.body import admit_again, read_small
from services.api.header_parameters import parse_parameters
from services.api.problems import MalformedBody, UnsupportedMediaType
from shared.errors import InvalidParameters

_MAX_FIELDS = 1000
_PART = re.compile(r"(?P<name>[^\[\]]+)\[(?P<key>[^\[\]]+)\]")

Parameters = dict[str, Any]

A = TypeVar("A")
B = TypeVar("B")


async def read_parameters(request: web.Request) -> Parameters:
    """Return the parameters by name; of those that come twice in one place, the last.

    In a query or a form, those whose name ends in `[]` are the list that is called so without it, and those whose name
    ends in `[key]` are the parts of an object.

    Raises:
        UnsupportedMediaType: the body is neither JSON nor a URL-encoded form, or is compressed.
        MalformedBody: it is not what it says it is, or is a JSON value other than an object.
        BodyTooLarge, UploadStalled, InvalidForm: it is over 1 MiB, came too slowly, or broke off.

    And what `admit_again` raises.
    """
    return {**query_parameters(request), **await _body(request)}


def query_parameters(request: web.Request) -> Parameters:
    """Return the parameters of the URL alone, as `read_parameters` does."""
    return _gathered(request.query.items())


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Return what both read; what is wrong with either is told in one answer."""
    try:
        read = first()
    except InvalidParameters as one:
        try:
            second()
        except InvalidParameters as other:
            raise InvalidParameters(*one.problems, *other.problems) from None
        raise
    return read, second()


async def _body(request: web.Request) -> Parameters:
    if not request.body_exists:
        return {}
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "")
    try:
        kind, _ = parse_parameters(content_type)
    except ValueError:
        kind = ""
    read = {"application/json": _json, "application/x-www-form-urlencoded": _form}.get(kind)
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if read is None or coding != "identity":
        raise UnsupportedMediaType(_printable(content_type))
    body = await read_small(request)
    await admit_again(request)
    return read(body) if body else {}


def _json(body: bytes) -> Parameters:
    try:
        value = json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedBody from None
    if not isinstance(value, dict):
        raise MalformedBody
    return value


def _form(body: bytes) -> Parameters:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise MalformedBody from None
    return _gathered(pairs)


def _gathered(pairs: Iterable[tuple[str, str]]) -> Parameters:
    found: Parameters = {}
    lists: dict[str, list[str]] = {}
    objects: dict[str, dict[str, str]] = {}
    for name, value in pairs:
        if name.endswith("[]"):
            lists.setdefault(name.removesuffix("[]"), []).append(value)
        elif part := _PART.fullmatch(name):
            objects.setdefault(part["name"], {})[part["key"]] = value
        else:
            found[name] = value
    return {**found, **lists, **objects}


def _refuse(constant: str) -> Never:
    raise ValueError(constant)  # NaN and the infinities are no JSON.


def _printable(text: str) -> str:
    return "".join(character for character in text[:100] if " " <= character <= "~")
