"""Yanks of packages and files, by their ids: Larder's own, beside GitLab's routes. Source: PEP 592."""

from aiohttp import web

from services.api.endpoint import described
from services.api.handlers.paths import record_ids
from services.api.keys import SETTINGS, USE_CASES, VISIT
from services.api.origin import external_url
from services.api.parameters import both, read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.schemas.packages import dump_file, dump_listed_package
from services.api.schemas.yanks import NewYankSchema, YankedPackageFileSchema, YankedPackageSchema, read_reason
from shared.models import PackageFileId, PackageId
from shared.yanks import yank_of_file


@described(takes=NewYankSchema, gives=YankedPackageSchema)
async def yank_package(request: web.Request) -> web.StreamResponse:
    """Yank a package: all its files, also those that come later."""
    (package_id,), reason = await _read(request, "package_id")
    visit, links = request[VISIT], Links(external_url(request))
    yanked = await request.app[USE_CASES].yank_package(visit, PackageId(package_id), reason=reason)
    return json_response(dump_listed_package(yanked, links=links, destroyable={visit.project.id}))


async def unyank_package(request: web.Request) -> web.StreamResponse:
    """Take back that a package is yanked."""
    (package_id,) = record_ids(request, "package_id")
    await request.app[USE_CASES].unyank_package(request[VISIT], PackageId(package_id))
    return web.Response(status=204)


@described(takes=NewYankSchema, gives=YankedPackageFileSchema)
async def yank_file(request: web.Request) -> web.StreamResponse:
    """Yank one file of a package."""
    (package_id, file_id), reason = await _read(request, "package_id", "package_file_id")
    visit, links = request[VISIT], Links(external_url(request))
    yanked = await request.app[USE_CASES].yank_package_file(
        visit, PackageId(package_id), file_id=PackageFileId(file_id), reason=reason
    )
    yank = yank_of_file(yanked.listed.file, yanked.package)
    shows_md5 = not request.app[SETTINGS].is_fips
    return json_response(dump_file(yanked.listed, visit.project, yank=yank, links=links, shows_md5=shows_md5))


async def unyank_file(request: web.Request) -> web.StreamResponse:
    """Take back that a file is yanked by itself."""
    package_id, file_id = record_ids(request, "package_id", "package_file_id")
    await request.app[USE_CASES].unyank_package_file(
        request[VISIT], PackageId(package_id), file_id=PackageFileId(file_id)
    )
    return web.Response(status=204)


async def _read(request: web.Request, *keys: str) -> tuple[tuple[int, ...], str | None]:
    parameters = await read_parameters(request)
    return both(lambda: record_ids(request, *keys), lambda: read_reason(parameters))
