"""Take an upload."""

from contextlib import AsyncExitStack
from http import HTTPStatus

from aiohttp import web

from services.api.body import admit_again
from services.api.endpoint import described
from services.api.keys import PRINCIPAL, SETTINGS, UPLOAD_SLOTS, USE_CASES, VISIT
from services.api.multipart import FormLimits, read_form
from services.api.presenters.json_response import json_response
from services.api.schemas.upload import UploadSchema, read_upload
from shared.principals import Anonymous, Principal, actor_of
from shared.usecases.upload import UploadOutcome

_STATUS = {UploadOutcome.PUBLISHED: HTTPStatus.CREATED, UploadOutcome.ACCEPTED: HTTPStatus.ACCEPTED}


@described(takes=UploadSchema)
async def upload(request: web.Request) -> web.StreamResponse:
    """Publish the file of a form: 201 when it can be installed now, 202 when the worker is not done with it.

    Whatever goes wrong, the blob is left uncommitted and so never was. What there is no room for is refused before its
    body is read.

    Source: lib/api/pypi_packages.rb; contract, PyPI E7 and section 6.
    """
    settings, decided = request.app[SETTINGS], request[VISIT].settings
    upload_package_file = request.app[USE_CASES].upload_package_file
    largest = min(settings.max_file_size_bytes, decided.pypi_max_file_size or settings.max_file_size_bytes)
    async with AsyncExitStack() as stack:
        stack.enter_context(request.app[UPLOAD_SLOTS].take(_name_of(request[PRINCIPAL])))
        limits = FormLimits(
            file_bytes=largest,
            other_bytes=settings.limits.max_form_bytes,
            parts=settings.limits.max_form_parts,
            seconds=settings.upload_max_seconds,
            room=await request.app[USE_CASES].find_storage_room(request[VISIT].project),
        )
        form = await read_form(
            request, lambda: stack.enter_async_context(upload_package_file.open_blob()), limits=limits
        )
        await admit_again(request)
        fields, file = read_upload(form, takes_md5=not settings.is_fips)
        outcome = await upload_package_file(request[VISIT], fields, file.blob)
    status = _STATUS[outcome]
    return json_response({"message": f"{status.value} {status.phrase}"}, status=status)


def _name_of(uploader: Principal) -> str:
    return "anybody" if isinstance(uploader, Anonymous) else actor_of(uploader)
