"""The files of a project or of a group's projects, and the core metadata beside them."""

from aiohttp import hdrs, web

from services.api.content_disposition import attachment
from services.api.handlers.paths import file_path
from services.api.keys import USE_CASES, visit_of
from services.api.presenters.file_response import Representation, plan_response, send
from shared.errors import NotFound, RecordNotFound

_METADATA_SUFFIX = ".metadata"
_CONTENT_TYPE = "application/octet-stream"


async def file(request: web.Request) -> web.StreamResponse:
    """Send a file by its digest and name, or the core metadata of the file whose name stands before `.metadata`.

    Source: contract, PyPI E3, E6 and section 7; PEP 658.
    """
    file_name = file_path(request, "file_name", told_as="file_identifier")
    sha256 = request.match_info["sha256"]
    if file_name.endswith(_METADATA_SUFFIX):
        try:
            return await _metadata(request, sha256, file_name.removesuffix(_METADATA_SUFFIX))
        except (NotFound, RecordNotFound):
            # With the checks off, a file may be called so itself.
            pass
    return await _file(request, sha256, file_name)


async def _file(request: web.Request, sha256: str, file_name: str) -> web.StreamResponse:
    open_package_file = request.app[USE_CASES].open_package_file
    download = await open_package_file(visit_of(request), sha256=sha256, file_name=file_name)
    representation = Representation(
        sha256=sha256,
        size_bytes=download.file.size_bytes,
        modified_at=download.file.created_at,
        cache_control=_cache_control(is_public=download.is_public),
        headers={
            hdrs.CONTENT_TYPE: _CONTENT_TYPE,
            hdrs.CONTENT_DISPOSITION: attachment(file_name),
            "Content-Transfer-Encoding": "binary",
        },
    )
    plan = plan_response(request.method, request.headers, representation)
    if download.blob is not None:
        return await send(request, plan, download.blob.path)
    return await send(
        request, plan, lambda offset, length: open_package_file.stream(download, offset=offset, length=length)
    )


async def _metadata(request: web.Request, sha256: str, file_name: str) -> web.StreamResponse:
    download = await request.app[USE_CASES].read_core_metadata(visit_of(request), sha256=sha256, file_name=file_name)
    representation = Representation(
        sha256=download.sha256,
        size_bytes=len(download.raw),
        modified_at=None,
        cache_control=_cache_control(is_public=download.is_public),
        headers={hdrs.CONTENT_TYPE: _CONTENT_TYPE},
    )
    return await send(request, plan_response(request.method, request.headers, representation), download.raw)


def _cache_control(*, is_public: bool) -> str:
    # What is behind a digest never changes; only who may see it does.
    scope = "public" if is_public else "private"
    return f"{scope}, max-age=31536000, immutable"
