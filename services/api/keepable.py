"""Which answers may be kept as they are, and for which heads: everything else is made anew each time."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from services.api.credentials import read_credentials
from services.api.keys import CLIENT, LOGGED, OFFER, PRINCIPAL
from services.api.middleware.request_log import REQUEST_ID_HEADER
from services.api.offers import Client, ReadyAnswer, is_download
from services.api.ready_answers import LONGEST_HEAD_BYTES
from shared.credentials import Door
from shared.principals import Anonymous
from shared.usecases.authentication import brings_secret
from shared.usecases.memo import Terms

_STATUSES = frozenset({200, 206, 304})
_END = b"\r\n\r\n"
_OTHER_FRAMING = (hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.EXPECT, hdrs.UPGRADE, hdrs.TRAILER)


def is_whole_head(data: bytes) -> bool:
    """Say whether these bytes are one head of a GET or HEAD from its first to its last, and nothing else."""
    return (
        data.startswith((b"GET ", b"HEAD "))
        and data.find(_END) == len(data) - len(_END)
        and len(data) <= LONGEST_HEAD_BYTES
        and data.count(b"\n") == data.count(b"\r\n")
    )


def ready_answer(
    request: web.BaseRequest,
    response: web.StreamResponse,
    terms: Terms | None,
    line: Callable[[Mapping[str, Any]], bytes | None],
) -> ReadyAnswer | None:
    """Return the answer that was given to the request, if another request with the same head may get it, too.

    Args:
        terms: for how long all that it was made of holds.
        line: gives the form of its line in the request log.
    """
    offer, logged, client = request.get(OFFER), request.get(LOGGED), request.get(CLIENT)
    if offer is None or logged is None or client is None or terms is None:
        return None
    if not (_is_plain(request) and response.keep_alive and response.status in _STATUSES):
        return None
    # Where nobody need say who they are, a secret that is no good is counted each time.
    if isinstance(request.get(PRINCIPAL), Anonymous) and _brings_secret(request):
        return None
    pieces, body = _head_in_pieces(response), _body(request, response)
    if pieces is None or body is None:
        return None
    downloaded = offer.of_file_in if is_download(request, response) else None
    return ReadyAnswer(*pieces, body, terms, Client.at(client), logged, line(logged), downloaded)


def _is_plain(request: web.BaseRequest) -> bool:
    """Say whether the request is all in its head, and wants its connection kept."""
    connection = request.headers.getall(hdrs.CONNECTION, ["keep-alive"])
    return (
        request.version == HttpVersion11
        and not any(name in request.headers for name in _OTHER_FRAMING)
        and [value.strip().lower() for value in connection] == ["keep-alive"]
    )


def _brings_secret(request: Any) -> bool:
    return brings_secret(read_credentials(request), Door.PYPI)


def _head_in_pieces(response: web.StreamResponse) -> tuple[bytes, bytes] | None:
    """Return the head up to the date, and from there to the request's id, which is its end."""
    *lines, (name, _) = response.headers.items()
    names = [name for name, _ in lines]
    if name != REQUEST_ID_HEADER or names.count(hdrs.DATE) != 1 or hdrs.TRANSFER_ENCODING in names:
        return None
    lines_before = lines[: names.index(hdrs.DATE)]
    lines_after = lines[names.index(hdrs.DATE) + 1 :]
    before_date = f"HTTP/1.1 {response.status} {response.reason}\r\n{_text(lines_before)}{hdrs.DATE}: "
    before_id = f"\r\n{_text(lines_after)}{REQUEST_ID_HEADER}: "
    return before_date.encode(), before_id.encode()


def _text(lines: list[tuple[str, str]]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in lines)


def _body(request: web.BaseRequest, response: web.StreamResponse) -> bytes | None:
    """Return the bytes behind the head; None when they are not at hand."""
    if request.method == hdrs.METH_HEAD or response.status == 304:
        return b""
    body = response.body if isinstance(response, web.Response) else None
    return body if isinstance(body, bytes) else None
