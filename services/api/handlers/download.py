"""The files of a project or of a group's projects, and the core metadata beside them."""

from collections.abc import AsyncGenerator
from functools import partial
from http import HTTPStatus

from aiohttp import hdrs, web

from services.api.content_disposition import attachment
from services.api.handlers.paths import file_path, record_ids
from services.api.keys import USE_CASES, VISIT, visit_of
from services.api.presenters.file_response import Representation, plan_response, send
from shared.errors import NotFound, RecordNotFound
from shared.models import PackageFileId, PackageId
from shared.usecases.download import Download, OpenPackageFile

_METADATA_SUFFIX = ".metadata"
_CONTENT_TYPE = "application/octet-stream"
_SERVED = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})


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


async def file_by_id(request: web.Request) -> web.StreamResponse:
    """Send a file by its number, as the Packages API has it.

    Source: lib/api/package_files.rb; contract, Packages 5.4.
    """
    package_id, file_id = record_ids(request, "package_id", "package_file_id")
    download = await request.app[USE_CASES].open_package_file.by_id(
        request[VISIT].project, PackageId(package_id), file_id=PackageFileId(file_id)
    )
    return await send_package_file(request, download)


async def send_package_file(request: web.Request, download: Download) -> web.StreamResponse:
    """Send the file as an attachment, whole or the part of it that is wanted, and note that it was downloaded."""
    use_cases, file = request.app[USE_CASES], download.file
    representation = Representation(
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        modified_at=file.created_at,
        cache_control=_cache_control(is_public=download.is_public),
        headers={
            hdrs.CONTENT_TYPE: _CONTENT_TYPE,
            hdrs.CONTENT_DISPOSITION: attachment(file.file_name),
            "Content-Transfer-Encoding": "binary",
        },
    )
    plan = plan_response(request.method, request.headers, representation)
    source = (
        download.blob.path if download.blob is not None else partial(_stream, use_cases.open_package_file, download)
    )
    response = await send(request, plan, source)
    if request.method == hdrs.METH_GET and plan.status in _SERVED:
        use_cases.note_download(file.package_id)
    return response


async def _file(request: web.Request, sha256: str, file_name: str) -> web.StreamResponse:
    open_package_file = request.app[USE_CASES].open_package_file
    download = await open_package_file(visit_of(request), sha256=sha256, file_name=file_name)
    return await send_package_file(request, download)


def _stream(opened: OpenPackageFile, download: Download, offset: int, length: int) -> AsyncGenerator[bytes, None]:
    return opened.stream(download, offset=offset, length=length)


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
