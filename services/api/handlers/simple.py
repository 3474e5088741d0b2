"""The simple index of a project or group, and the simple page of a name in it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import hdrs, web

from services.api.handlers.paths import file_path
from services.api.keys import OFFER, USE_CASES, visit_of
from services.api.negotiation import SimpleFormat, choose_format
from services.api.offers import Offer
from services.api.origin import external_url
from services.api.presenters import simple_html, simple_json
from services.api.presenters.links import Links
from services.api.presenters.redirects import moved_upstream
from services.api.presenters.text_response import RenderedPage, revalidated_response
from shared.errors import NotFound
from shared.models import Visibility
from shared.names import normalize_name
from shared.usecases.memo import Derived
from shared.usecases.visits import AnyVisit, GroupVisit, Visit

_MANY_LINES = 1_000


async def index(request: web.Request) -> web.StreamResponse:
    """List the names that the project or group has.

    Source: PEP 503, PEP 691; contract, PyPI E1 and E4.
    """
    visit = visit_of(request)
    wanted = _format(request)
    use_cases = request.app[USE_CASES]
    links = Links(external_url(request)).pypi(visit.tenant)
    title = visit.tenant.name

    async def render() -> Derived[RenderedPage]:
        listed = await use_cases.list_package_names(visit)
        names = listed.value
        match wanted:
            case SimpleFormat.JSON:
                write = partial(simple_json.render_index, names)
            case SimpleFormat.HTML | SimpleFormat.PLAIN_HTML:
                write = partial(simple_html.render_index, title, names, links)
        return await _rendered(listed, write, lines=len(names))

    key = (*use_cases.list_package_names.key(visit), wanted is SimpleFormat.JSON, links, title)
    return await _answer(request, visit, await use_cases.memo(key, render), wanted)


async def page(request: web.Request) -> web.StreamResponse:
    """List the files of a name; another spelling of it is sent on to the normalized one.

    A name that was never here is looked for upstream, where that is wanted.

    Source: PEP 503, PEP 691; contract, PyPI E2, E5 and 8.
    """
    visit = visit_of(request)
    spelling = file_path(request, "package_name", told_as="package_name")
    name = normalize_name(spelling)
    links = Links(external_url(request)).pypi(visit.tenant)
    if name != spelling:
        return _redirect(request, f"{links.simple_page(name).removesuffix('/')}/")
    wanted = _format(request)
    use_cases = request.app[USE_CASES]

    async def render() -> Derived[RenderedPage]:
        listed = await use_cases.list_package_files(visit, name)
        shown = listed.value
        match wanted:
            case SimpleFormat.JSON:
                in_json = simple_json.render_group_page if isinstance(visit, GroupVisit) else simple_json.render_page
                write = partial(in_json, name, shown, links)
            case SimpleFormat.HTML | SimpleFormat.PLAIN_HTML:
                title = shown.files[0].package_name if shown.files else name
                write = partial(simple_html.render_page, title, shown, links)
        return await _rendered(listed, write, lines=len(shown.files))

    # What is rendered depends on nothing else: `links` tell the registry's URL, and the project or group.
    key = (*use_cases.list_package_files.key(visit, name), wanted is SimpleFormat.JSON, links)
    try:
        rendered = await use_cases.memo(key, render)
    except NotFound:
        elsewhere = await use_cases.forward_unknown_name(visit, name)
        if elsewhere is None:
            raise
        return moved_upstream(request, elsewhere)
    return await _answer(request, visit, rendered, wanted)


async def _rendered(listed: Derived[Any], write: Callable[[], bytes], *, lines: int) -> Derived[RenderedPage]:
    """Return the page that `write` makes of what is listed; a long one is made while others are answered."""
    body = await asyncio.to_thread(write) if lines > _MANY_LINES else write()
    page = RenderedPage.of(body)
    return listed.into(page, size_bytes=page.largest_bytes)


def _format(request: web.Request) -> SimpleFormat:
    return choose_format(request.headers.getall(hdrs.ACCEPT, []), requested=request.query.get("format"))


async def _answer(request: web.Request, visit: AnyVisit, page: RenderedPage, wanted: SimpleFormat) -> web.Response:
    # What a group shows depends on who asks, even when everybody may.
    is_public = isinstance(visit, Visit) and visit.project.packages_visibility is Visibility.PUBLIC
    request[OFFER] = Offer()
    form = "v1" if wanted is SimpleFormat.HTML else ""
    return await revalidated_response(
        request, page, content_type=f"{wanted}; charset=utf-8", is_public=is_public, form=form
    )


def _redirect(request: web.Request, url: str) -> web.Response:
    query = request.rel_url.raw_query_string
    location = f"{url}?{query}" if query else url
    return web.Response(
        status=302,
        text=f"This resource is at {url}\n",
        headers={hdrs.LOCATION: location, hdrs.CACHE_CONTROL: "private, no-cache"},
    )
