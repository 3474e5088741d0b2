"""The one table from errors to statuses, bodies and headers, and the middleware that applies it.

Source: contract, PyPI 2.3 and Packages 1.2; lib/api/helpers.rb, lib/api/api_guard.rb and lib/api/api.rb of GitLab.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from services.api import problems
from services.api.body import check_expectation, discard_rest, has_unread_body
from services.api.framing import check_framing
from services.api.keys import HAS_BEGUN, REQUEST_ID
from services.api.presenters.error_page import error_page_response
from services.api.presenters.json_response import json_response
from services.api.routes import endpoint_of
from shared import errors
from shared.credentials import Door
from shared.errors import LarderError

log = structlog.get_logger()

JsonObject = Mapping[str, Any]

BASIC_CHALLENGE = 'Basic realm="GitLab Packages Registry"'
_EXPIRED = "Token is expired. You can either do re-authorization or token refresh."
_REVOKED = "Token was revoked. You have to re-authorize from the user."
_INSUFFICIENT = "The request requires higher privileges than provided by the access token."


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is told of an error."""

    status: int
    body: JsonObject
    headers: Mapping[str, str] = field(default_factory=dict)


Row = Callable[[Any], Answer]


def message(status: int, text: str) -> Answer:
    """Return GitLab's shape for everything that is not about parameters."""
    return Answer(status, {"message": text})


def _problem(status: int, text: str) -> Answer:
    return Answer(status, {"error": text})


def _unavailable(_: LarderError) -> Answer:
    return Answer(503, {"message": "503 Service Unavailable"}, {hdrs.RETRY_AFTER: "1"})


def _invalid_token(description: str) -> Answer:
    return Answer(
        401,
        {"error": "invalid_token", "error_description": description},
        {
            hdrs.WWW_AUTHENTICATE: 'Bearer realm="Protected by OAuth 2.0", error="invalid_token", '
            f'error_description="{description}"'
        },
    )


def _insufficient_scope(error: errors.InsufficientScope) -> Answer:
    accepted = error.accepted
    if "api" in accepted:
        accepted = tuple(dict.fromkeys(("api", "read_api", *accepted)))  # GitLab tells it where it is not enough, too.
    scopes = " ".join(accepted)
    return Answer(403, {"error": "insufficient_scope", "error_description": _INSUFFICIENT, "scope": scopes})


def _too_many_failures(error: problems.TooManyFailures) -> Answer:
    # As GitLab's API words it (`too_many_requests!`); what stands before its API says "Retry later" as plain text.
    seconds = max(math.ceil(error.seconds), 1)
    return Answer(429, {"message": "429 Too Many Requests"}, {hdrs.RETRY_AFTER: str(seconds)})


def _too_many_uploads(error: problems.TooManyUploads) -> Answer:
    text = f"429 Too Many Requests - {error.most} of your uploads are under way, try again when one of them has ended"
    return Answer(429, {"message": text}, {hdrs.RETRY_AFTER: "5"})


def _quota_exceeded(error: errors.QuotaExceeded) -> Answer:
    return message(
        507,
        f"507 Insufficient Storage - the files of this project hold {error.used_bytes} of the {error.allowed_bytes} "
        "bytes that they may: delete what nobody needs, or ask an administrator for more",
    )


def _validation_failed(reason: str) -> Answer:
    return message(400, f"400 Bad request - Validation failed: {reason}")


def _method_not_allowed(error: problems.MethodNotAllowed) -> Answer:
    return Answer(405, {"error": "405 Not Allowed"}, {hdrs.ALLOW: ", ".join(error.allowed)})


def _not_acceptable(error: problems.NotAcceptable) -> Answer:
    return Answer(406, {"error": f"406 Not Acceptable: offered are {', '.join(error.offered)}"}, {hdrs.VARY: "Accept"})


def _group_invalid(error: problems.GroupInvalid) -> Answer:
    details = ", ".join(f":{key}=>{json.dumps(texts)}" for key, texts in error.messages.items())
    return message(400, f"Failed to save group {{{details}}}")


def _deploy_token_invalid(error: problems.DeployTokenInvalid) -> Answer:
    sentences = [f"{key.capitalize()} {text}" for key, texts in error.messages.items() for text in texts]
    return message(400, " and ".join(sentences))


TABLE: Mapping[type[LarderError], Row] = {
    # who asks
    errors.Unauthenticated: lambda _: message(401, "401 Unauthorized"),
    errors.TokenExpired: lambda _: _invalid_token(_EXPIRED),
    errors.TokenRevoked: lambda _: _invalid_token(_REVOKED),
    errors.InsufficientScope: _insufficient_scope,
    errors.UserBlocked: lambda _: message(403, "403 Forbidden - Your account has been blocked."),
    problems.TooManyFailures: _too_many_failures,
    problems.TooManyUploads: _too_many_uploads,
    errors.Forbidden: lambda e: message(403, f"403 Forbidden - {e.reason}" if e.reason else "403 Forbidden"),
    errors.PackageDeleteProtected: lambda _: message(403, "Package is deletion protected."),
    errors.Conflict: lambda e: message(409, e.reason),
    errors.Refused: lambda e: message(400, f"400 Bad request - {e.reason}"),
    # what is asked for
    errors.NotFound: lambda e: message(404, f"404 {e.resource} Not Found" if e.resource else "404 Not Found"),
    errors.RecordNotFound: lambda _: message(404, "404 Not found"),
    errors.PackageNotDetailed: lambda _: message(404, "Package not found"),
    errors.BlobMissing: lambda _: message(404, "404 Not Found"),
    errors.PreconditionFailed: lambda _: message(412, "412 Precondition Failed"),
    problems.UnknownRoute: lambda _: _problem(404, "404 Not Found"),
    problems.ApiVersionGone: lambda _: _problem(410, "API V3 is no longer supported. Use API V4 instead."),
    problems.MethodNotAllowed: _method_not_allowed,
    problems.NotAcceptable: _not_acceptable,
    problems.KeysetUnavailable: lambda _: _problem(
        405, "Keyset pagination is not yet available for this type of request"
    ),
    # what was sent
    problems.FramingUnclear: lambda e: _problem(e.status, f"{e.status} {HTTPStatus(e.status).phrase}"),
    problems.ExpectationFailed: lambda _: _problem(417, "417 Expectation Failed"),
    problems.UnsupportedMediaType: lambda e: _problem(
        415, f"The provided content-type '{e.content_type}' is not supported."
    ),
    problems.MalformedBody: lambda _: _problem(400, "message body does not match declared format"),
    problems.BodyTooLarge: lambda _: _problem(413, "413 Request Entity Too Large"),
    problems.GroupInvalid: _group_invalid,
    problems.DeployTokenInvalid: _deploy_token_invalid,
    errors.InvalidParameters: lambda e: _problem(400, ", ".join(e.problems)),
    errors.InvalidForm: lambda e: _problem(400, e.reason),
    errors.ValidationFailed: lambda e: _validation_failed(e.reason),
    errors.RecordInvalid: lambda e: Answer(400, {"message": {key: list(texts) for key, texts in e.messages.items()}}),
    errors.ProtectionRuleInvalid: lambda e: Answer(422, {"message": {"error": list(e.problems)}}),
    errors.DigestMissing: lambda _: message(422, "422 Unprocessable Entity"),
    errors.FileNameTaken: lambda _: _validation_failed("File name has already been taken (file already exists)"),
    errors.FileTooLarge: lambda _: message(413, "400 Bad request - File is too large"),
    errors.DistributionRejected: lambda e: _validation_failed(e.reason),
    errors.QuotaExceeded: _quota_exceeded,
    errors.UploadStalled: lambda _: message(408, "408 Request Timeout"),
    errors.UploadTooOld: _unavailable,
    # what it stands on
    errors.StorageFull: lambda _: message(507, "507 Insufficient Storage"),
    errors.BlobStoreUnavailable: _unavailable,
    errors.MetadataUnavailable: _unavailable,
    errors.MetadataDamaged: _unavailable,
    errors.SchemaUnknown: _unavailable,
    errors.OperatorError: _unavailable,
    errors.DatabaseNotEmpty: _unavailable,
    errors.QueueUnavailable: _unavailable,
    errors.SettingsInvalid: lambda _: message(500, "500 Internal Server Error"),
}
"""Every error that a caller can get, with what it is told."""


def answer_to(error: LarderError, door: Door | None) -> Answer:
    """Return what a caller at this door is told of the error.

    Installers ask for credentials on a 401 with a Basic challenge only, so the PyPI endpoints send one.
    """
    answer = TABLE[type(error)](error)
    if isinstance(error, errors.Unauthenticated) and door is Door.PYPI:
        return Answer(answer.status, answer.body, {hdrs.WWW_AUTHENTICATE: BASIC_CHALLENGE})
    return answer


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error that comes out of the route, unless its answer has begun: then it can only be cut off."""
    try:
        check_framing(request)
        check_expectation(request)
        return await handler(request)
    except LarderError as error:
        if request.get(HAS_BEGUN):
            log.exception("request.broken_off")
            raise
        endpoint = endpoint_of(request)
        answer = answer_to(error, endpoint.guard.door if endpoint else None)
        if isinstance(error, problems.FramingUnclear):
            return _last_response(request, answer)
        if answer.status >= 500 and not isinstance(error, errors.QuotaExceeded):
            # A project that is full is no fault of this registry.
            log.exception("request.failed")
        if isinstance(error, errors.BlobMissing):
            # The client cannot mend it; whoever operates this must know.
            log.error("blob.missing", blob_key=error.key)  # noqa: TRY400 - where it was noticed says nothing
    except web.HTTPException as error:
        # aiohttp's own, for requests that no route of the table can match (`OPTIONS *`).
        answer = _problem(error.status, f"{error.status} {error.reason}")
    except ConnectionError:
        raise
    except Exception:
        if request.get(HAS_BEGUN):
            log.exception("request.broken_off")
            raise
        log.exception("request.failed")
        answer = Answer(500, {"message": "500 Internal Server Error", "request_id": request[REQUEST_ID]})
    response = _response(request, answer)
    if has_unread_body(request):
        response.force_close()
        await response.prepare(request)
        await response.write_eof()
        await discard_rest(request)
    return response


def _last_response(request: web.Request, answer: Answer) -> web.Response:
    """Return the answer as the last one of its connection."""
    response = _response(request, answer)
    response.force_close()
    return response


def _response(request: web.Request, answer: Answer) -> web.Response:
    endpoint = endpoint_of(request)
    if endpoint is None or not endpoint.is_page:
        return json_response(answer.body, status=answer.status, headers=answer.headers)
    return error_page_response(request, answer.status, answer.headers)
