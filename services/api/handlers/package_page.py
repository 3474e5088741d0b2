"""Packages as people look at them."""

from aiohttp import web

from services.api.keys import PAGES, USE_CASES, VISIT
from services.api.origin import external_url
from services.api.presenters.links import Links
from services.api.presenters.package_page import render_package_page
from services.api.presenters.pages import CONTENT_TYPE
from services.api.presenters.text_response import RenderedPage, revalidated_response
from shared.errors import NotFound
from shared.models import PackageId, Visibility

_LONGEST_ID = 19


async def show(request: web.Request) -> web.StreamResponse:
    """Show a package: what is in it, how to install it, and what it says of itself."""
    number = request.match_info["package_id"]
    if not number.isascii() or not number.isdigit() or len(number) > _LONGEST_ID:
        raise NotFound
    visit, pages = request[VISIT], request.app[PAGES]
    page = await request.app[USE_CASES].describe_package(visit, PackageId(int(number)))
    rendered = RenderedPage.of(render_package_page(pages, page, visit.project, Links(external_url(request))))
    is_public = visit.project.packages_visibility is Visibility.PUBLIC
    response = await revalidated_response(request, rendered, content_type=CONTENT_TYPE, is_public=is_public)
    response.headers.update(pages.headers)
    return response
