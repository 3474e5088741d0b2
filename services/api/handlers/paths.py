"""Parameters that stand in the path, made safe."""

import re
from urllib.parse import unquote

from aiohttp import web

from shared.errors import InvalidParameters

_TRAVERSAL = re.compile(r"(?:\A|[/\\])\.{1,2}(?:[/\\]|\Z)")
_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)
_LONGEST_ID = 20
_LARGEST_ID = 2**63 - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def record_id(request: web.Request, key: str, *, told_as: str) -> int:
    """Return a parameter that is the number of a record; 0, which none has, for one that none can have.

    Args:
        told_as: what GitLab calls the parameter.

    Raises:
        InvalidParameters: it is no whole number.
    """
    text = request.match_info[key]
    if not _NUMBER.fullmatch(text):
        raise InvalidParameters(f"{told_as} is invalid")
    number = int(text) if len(text) < _LONGEST_ID else 0
    return number if 0 < number <= _LARGEST_ID else 0


def record_ids(request: web.Request, *keys: str) -> tuple[int, ...]:
    """Return several parameters that are numbers of records, as `record_id` does; they are told as they are called.

    Raises:
        InvalidParameters: with one sentence for each that is no whole number.
    """
    wrong = [key for key in keys if not _NUMBER.fullmatch(request.match_info[key])]
    if wrong:
        raise InvalidParameters(*(f"{key} is invalid" for key in wrong))
    return tuple(record_id(request, key, told_as=key) for key in keys)


def file_path(request: web.Request, key: str, *, told_as: str) -> str:
    """Return a parameter that takes the rest of the path, without the slash that the URL may end with.

    Args:
        told_as: what GitLab calls the parameter.

    Raises:
        InvalidParameters: it is absolute, climbs, or has control characters.

    Source: lib/api/validations/validators/file_path.rb, lib/gitlab/path_traversal.rb (which decodes once more).
    """
    text = request.match_info[key].removesuffix("/")
    decoded = unquote(text)
    if (
        not text
        or decoded.startswith("/")
        or _TRAVERSAL.search(text)
        or _TRAVERSAL.search(decoded)
        or _CONTROL.search(decoded)
    ):
        raise InvalidParameters(f"{told_as} should be a valid file path")
    return text
