"""Packages, their files and their pipelines, as they are read.

Source: lib/api/project_packages.rb, group_packages.rb and package_files.rb.
"""

from collections.abc import Mapping

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_id
from services.api.keys import GROUP_VISIT, SETTINGS, USE_CASES, VISIT
from services.api.keyset import keyset_headers, require_newest_first
from services.api.origin import external_url
from services.api.pagination import read_page_request
from services.api.parameters import both, query_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.presenters.page_response import page_response
from services.api.schemas.keyset import KeysetQuerySchema, read_keyset_request
from services.api.schemas.package_lists import (
    GroupPackageQuerySchema,
    PackageFileQuerySchema,
    PackageQuerySchema,
    read_group_package_query,
    read_package_file_order,
    read_package_query,
)
from services.api.schemas.packages import (
    PackageFileSchema,
    PackageSchema,
    PipelineSchema,
    dump_file,
    dump_listed_package,
    dump_pipeline,
    dump_version,
)
from shared.models import PackageId
from shared.pages import PageRequest
from shared.usecases.package_lists import PackageListing, PackageQuery
from shared.yanks import yank_of_file


@described(takes=PackageQuerySchema, gives=PackageSchema, is_paged=True)
async def index(request: web.Request) -> web.StreamResponse:
    """List the packages of a project."""
    wanted, query = both(lambda: read_page_request(request), lambda: read_package_query(query_parameters(request)))
    listing = await request.app[USE_CASES].list_packages.of_project(request[VISIT], query, wanted)
    return _page(request, query, wanted, listing, known={"id": request.match_info["project"]})


@described(takes=GroupPackageQuerySchema, gives=PackageSchema, is_paged=True)
async def group_index(request: web.Request) -> web.StreamResponse:
    """List the packages of a group's projects."""
    wanted, (query, includes_subgroups) = both(
        lambda: read_page_request(request), lambda: read_group_package_query(query_parameters(request))
    )
    listing = await request.app[USE_CASES].list_packages.of_group(
        request[GROUP_VISIT], query, wanted, includes_subgroups=includes_subgroups
    )
    known = {"id": request.match_info["group"], "exclude_subgroups": "false" if includes_subgroups else "true"}
    return _page(request, query, wanted, listing, known=known, tells_project=True)


@described(gives=PackageSchema)
async def show(request: web.Request) -> web.StreamResponse:
    """Show a package with its other versions."""
    visit, links = request[VISIT], Links(external_url(request))
    detail = await request.app[USE_CASES].show_package(visit, _package_id(request))
    destroyable = {visit.project.id} if detail.is_destroyable else set()
    package = dump_listed_package(detail.package, links=links, destroyable=destroyable)
    return json_response({**package, "versions": [dump_version(one, links) for one in detail.versions]})


@described(takes=KeysetQuerySchema, gives=PipelineSchema, is_paged=True)
async def pipelines(request: web.Request) -> web.StreamResponse:
    """List the pipelines that built a package, the latest one first."""
    wanted, package_id = both(lambda: read_keyset_request(query_parameters(request)), lambda: _package_id(request))
    visit, links = request[VISIT], Links(external_url(request))
    found = await request.app[USE_CASES].list_package_pipelines(
        visit, package_id, cursor=wanted.cursor, limit=wanted.size
    )
    require_newest_first(request)
    return json_response(
        [dump_pipeline(one, of=visit.project, links=links) for one in found.entries],
        headers=keyset_headers(request, wanted, found.next, parameters=_ids(request)),
    )


@described(takes=PackageFileQuerySchema, gives=PackageFileSchema, is_paged=True)
async def files(request: web.Request) -> web.StreamResponse:
    """List the files of a package."""
    package_id, (wanted, (order, is_descending)) = both(
        lambda: _package_id(request),
        lambda: both(lambda: read_page_request(request), lambda: read_package_file_order(query_parameters(request))),
    )
    visit, links = request[VISIT], Links(external_url(request))
    listing = await request.app[USE_CASES].list_files_of_package(
        visit, package_id, wanted, order=order, is_descending=is_descending
    )
    known = {**_ids(request), "order_by": order, "sort": _direction(is_descending=is_descending)}
    return page_response(
        request,
        wanted,
        listing.page,
        lambda one: dump_file(
            one,
            visit.project,
            yank=yank_of_file(one.file, listing.package),
            links=links,
            shows_md5=not request.app[SETTINGS].is_fips,
        ),
        parameters=known,
    )


def _page(
    request: web.Request,
    query: PackageQuery,
    wanted: PageRequest,
    listing: PackageListing,
    *,
    known: Mapping[str, str],
    tells_project: bool = False,
) -> web.Response:
    links = Links(external_url(request))
    return page_response(
        request,
        wanted,
        listing.page,
        lambda one: dump_listed_package(one, links=links, destroyable=listing.destroyable, tells_project=tells_project),
        parameters={**known, "order_by": query.order, "sort": _direction(is_descending=query.is_descending)},
    )


def _package_id(request: web.Request) -> PackageId:
    return PackageId(record_id(request, "package_id", told_as="package_id"))


def _ids(request: web.Request) -> dict[str, str | int]:
    return {"id": request.match_info["project"], "package_id": request.match_info["package_id"]}


def _direction(*, is_descending: bool) -> str:
    return "desc" if is_descending else "asc"
