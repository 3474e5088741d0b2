"""Errors as people see them."""

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import hdrs, web

from services.api.keys import PAGES, PRINCIPAL
from services.api.presenters.pages import CONTENT_TYPE
from shared.principals import Anonymous


def error_page_response(request: web.Request, status: int, headers: Mapping[str, str]) -> web.Response:
    """Return the page of an error.

    Args:
        headers: what the error's answer says beside its body.
    """
    pages = request.app[PAGES]
    is_nobody = isinstance(request.get(PRINCIPAL), Anonymous)
    return web.Response(
        body=pages.render_error(status, may_sign_in=is_nobody and status == HTTPStatus.NOT_FOUND),
        status=status,
        headers={
            hdrs.CONTENT_TYPE: CONTENT_TYPE,
            hdrs.CACHE_CONTROL: "private, no-store",
            **pages.headers,
            **headers,
        },
    )
