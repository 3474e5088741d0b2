"""Answers that are one page of a list."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aiohttp import web

from services.api.pagination import page_headers
from services.api.presenters.json_response import json_response
from shared.pages import Page, PageRequest

T = TypeVar("T")


def page_response(
    request: web.Request,
    wanted: PageRequest,
    page: Page[T],
    present: Callable[[T], Any],
    *,
    parameters: Mapping[str, str | int] | None = None,
) -> web.Response:
    """Return the page as an array, with the headers that say where it stands in its list.

    Args:
        present: from an entry to what stands for it in JSON.
        parameters: as `page_headers` has them.
    """
    return json_response(
        [present(entry) for entry in page.entries],
        headers=page_headers(request, wanted, page, parameters=parameters or {}),
    )
