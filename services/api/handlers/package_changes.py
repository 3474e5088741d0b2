"""Changes of packages, by their ids. Source: lib/api/project_packages.rb, lib/api/package_files.rb."""

from aiohttp import web

from services.api.conditions import unmodified_since
from services.api.endpoint import described
from services.api.handlers.paths import record_ids
from services.api.keys import USE_CASES, VISIT
from services.api.origin import external_url
from services.api.parameters import read_parameters
from services.api.presenters.json_response import json_response
from services.api.presenters.links import Links
from services.api.schemas.package_changes import PackageChangeSchema, read_package_status
from services.api.schemas.packages import PackageSchema, dump_listed_package
from shared.models import PackageFileId, PackageId


async def delete_package(request: web.Request) -> web.StreamResponse:
    """Delete a package with all its files."""
    (package_id,) = record_ids(request, "package_id")
    await request.app[USE_CASES].delete_package(
        request[VISIT], PackageId(package_id), unmodified_since=unmodified_since(request.headers)
    )
    return web.Response(status=204)


async def delete_file(request: web.Request) -> web.StreamResponse:
    """Delete one file of a package."""
    package_id, file_id = record_ids(request, "package_id", "package_file_id")
    await request.app[USE_CASES].delete_package_file(
        request[VISIT],
        PackageId(package_id),
        file_id=PackageFileId(file_id),
        unmodified_since=unmodified_since(request.headers),
    )
    return web.Response(status=204)


@described(takes=PackageChangeSchema, gives=PackageSchema)
async def change_package(request: web.Request) -> web.StreamResponse:
    """Set the status of a package: Larder's own, because nothing else in this API could."""
    (package_id,) = record_ids(request, "package_id")
    status = read_package_status(await read_parameters(request))
    visit, links = request[VISIT], Links(external_url(request))
    changed = await request.app[USE_CASES].change_package_status(visit, PackageId(package_id), status=status)
    return json_response(dump_listed_package(changed, links=links, destroyable={visit.project.id}))
