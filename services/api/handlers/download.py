"""The files of a project or of a group's projects, and the core metadata and the provenance beside them."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from aiohttp import hdrs, web

from services.api.content_disposition import attachment
from services.api.handlers.paths import file_path, record_ids
from services.api.keys import OFFER, SETTINGS, USE_CASES, VISIT, visit_of
from services.api.offers import Offer, is_download
from services.api.presenters.file_response import Plan, Representation, Source, plan_response, send
from services.api.presenters.redirects import lent_by_store
from shared.errors import NotFound, RecordNotFound
from shared.models import PackageFileId, PackageId
from shared.ports.blob_store import LinkHeaders
from shared.usecases.download import Download, NeighbourDownload, OpenPackageFile

_METADATA_SUFFIX = ".metadata"
_PROVENANCE_SUFFIX = ".provenance"
_CONTENT_TYPE = "application/octet-stream"
_PROVENANCE_CONTENT_TYPE = "application/vnd.pypi.integrity.v1+json"
_CONDITIONS = (hdrs.IF_MATCH, hdrs.IF_NONE_MATCH, hdrs.IF_MODIFIED_SINCE, hdrs.IF_UNMODIFIED_SINCE, hdrs.IF_RANGE)


async def file(request: web.Request) -> web.StreamResponse:
    """Send a file by its digest and name, or what stands beside the file whose name the suffix follows.

    That is its core metadata for `.metadata`, and its provenance for `.provenance`.

    Source: contract, PyPI E3, E6 and section 7; PEP 658, PEP 740.
    """
    file_name = file_path(request, "file_name", told_as="file_identifier")
    sha256 = request.match_info["sha256"]
    for suffix, send_neighbour in ((_METADATA_SUFFIX, _metadata), (_PROVENANCE_SUFFIX, _provenance)):
        if file_name.endswith(suffix):
            # With the checks off, a file may be called so itself.
            with suppress(NotFound, RecordNotFound):
                return await send_neighbour(request, sha256, file_name.removesuffix(suffix))
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
        # Never in the future, though the clock was set back since (RFC 9110 section 8.8.2.1).
        modified_at=min(file.created_at, datetime.now(UTC)),
        cache_control=_cache_control(is_public=download.is_public),
        headers={
            hdrs.CONTENT_TYPE: _CONTENT_TYPE,
            hdrs.CONTENT_DISPOSITION: attachment(file.file_name),
            "Content-Transfer-Encoding": "binary",
        },
    )
    plan = plan_response(request.method, request.headers, representation)
    url = await _url_at_store(request, plan, download) if plan.length else None
    if url is not None:
        response: web.StreamResponse = lent_by_store(url)
    else:
        response = await send(request, plan, _source(use_cases.open_package_file, download))
    if url is not None or is_download(request, response):
        use_cases.note_download(file.package_id)
    return response


async def _file(request: web.Request, sha256: str, file_name: str) -> web.StreamResponse:
    open_package_file = request.app[USE_CASES].open_package_file
    download = await open_package_file(visit_of(request), sha256=sha256, file_name=file_name)
    if download.file.created_at <= datetime.now(UTC):  # Else the answer says another time each second.
        request[OFFER] = Offer(of_file_in=download.file.package_id)
    return await send_package_file(request, download)


async def _url_at_store(request: web.Request, plan: Plan, download: Download) -> str | None:
    """Return where the client is to fetch the bytes, or None when they are sent from here.

    The store knows neither our entity tags nor our times, so what depends on them is answered here; and a URL that is
    signed for GET takes no HEAD. A range is taken to the store by the client, as part of its request.
    """
    least_bytes = request.app[SETTINGS].blob_redirect_bytes
    is_at_hand = download.raw is not None or download.blob is not None
    if least_bytes is None or download.file.size_bytes < least_bytes or is_at_hand:
        return None
    if any(name in request.headers for name in _CONDITIONS):
        return None
    headers = LinkHeaders(
        content_type=plan.headers[hdrs.CONTENT_TYPE],
        content_disposition=plan.headers[hdrs.CONTENT_DISPOSITION],
        cache_control="private, no-store",  # The next URL is another one.
    )
    return await request.app[USE_CASES].open_package_file.link(download, headers)


def _source(opened: OpenPackageFile, download: Download) -> Source:
    if download.raw is not None:
        return download.raw
    return download.blob.path if download.blob is not None else partial(_stream, opened, download)


def _stream(opened: OpenPackageFile, download: Download, offset: int, length: int) -> AsyncGenerator[bytes, None]:
    return opened.stream(download, offset=offset, length=length)


async def _metadata(request: web.Request, sha256: str, file_name: str) -> web.StreamResponse:
    download = await request.app[USE_CASES].read_core_metadata(visit_of(request), sha256=sha256, file_name=file_name)
    cache_control = _cache_control(is_public=download.is_public)
    return await _send_neighbour(request, download, content_type=_CONTENT_TYPE, cache_control=cache_control)


async def _provenance(request: web.Request, sha256: str, file_name: str) -> web.StreamResponse:
    download = await request.app[USE_CASES].read_provenance(visit_of(request), sha256=sha256, file_name=file_name)
    # The URL has the digest of the file, of which more may be attested later (PEP 740).
    cache_control = "no-cache" if download.is_public else "private, no-cache"
    return await _send_neighbour(request, download, content_type=_PROVENANCE_CONTENT_TYPE, cache_control=cache_control)


async def _send_neighbour(
    request: web.Request, download: NeighbourDownload, *, content_type: str, cache_control: str
) -> web.StreamResponse:
    representation = Representation(
        sha256=download.sha256,
        size_bytes=len(download.raw),
        modified_at=None,
        cache_control=cache_control,
        headers={hdrs.CONTENT_TYPE: content_type},
    )
    request[OFFER] = Offer()
    return await send(request, plan_response(request.method, request.headers, representation), download.raw)


def _cache_control(*, is_public: bool) -> str:
    # What is behind a digest never changes; only who may see it does.
    scope = "public" if is_public else "private"
    return f"{scope}, max-age=31536000, immutable"
