import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import problems
from services.api.middleware.errors import BASIC_CHALLENGE, TABLE, answer_to
from shared import errors
from shared.credentials import Door
from shared.errors import LarderError


def _all(base: type[LarderError]) -> list[type[LarderError]]:
    return [found for child in base.__subclasses__() for found in (child, *_all(child))]


def _declared() -> list[type[LarderError]]:
    """Return the domain's errors and the API's own; other modules' have no callers."""
    return [found for found in _all(LarderError) if found.__module__ in (errors.__name__, problems.__name__)]


@pytest.mark.parametrize("error", _declared())
def test_every_error_has_a_row(error: type[LarderError]) -> None:
    assert error in TABLE


def test_no_row_is_left_of_an_error_that_is_gone() -> None:
    assert set(TABLE) == set(_declared())


EXAMPLES = [
    (errors.Unauthenticated(), 401, '{"message":"401 Unauthorized"}'),
    (errors.UserBlocked(), 403, '{"message":"403 Forbidden - Your account has been blocked."}'),
    (errors.Forbidden(), 403, '{"message":"403 Forbidden"}'),
    (errors.Forbidden("Package protected."), 403, '{"message":"403 Forbidden - Package protected."}'),
    (
        errors.Forbidden("Package is deletion protected."),
        403,
        '{"message":"403 Forbidden - Package is deletion protected."}',
    ),
    (errors.PackageDeleteProtected(), 403, '{"message":"Package is deletion protected."}'),
    (errors.PreconditionFailed(), 412, '{"message":"412 Precondition Failed"}'),
    (errors.ProtectionRuleInvalid("a is bad", "b too"), 422, '{"message":{"error":["a is bad","b too"]}}'),
    (errors.NotFound(), 404, '{"message":"404 Not Found"}'),
    (errors.NotFound("Package"), 404, '{"message":"404 Package Not Found"}'),
    (errors.BlobMissing("2026/01/01/x"), 404, '{"message":"404 Not Found"}'),
    (errors.InvalidParameters("a is missing", "b is invalid"), 400, '{"error":"a is missing, b is invalid"}'),
    (errors.InvalidForm("no form"), 400, '{"error":"no form"}'),
    (
        errors.ValidationFailed("Name is invalid"),
        400,
        '{"message":"400 Bad request - Validation failed: Name is invalid"}',
    ),
    (errors.RecordInvalid({"path": ("is taken", "is bad")}), 400, '{"message":{"path":["is taken","is bad"]}}'),
    (errors.DistributionRejected("no zip"), 400, '{"message":"400 Bad request - Validation failed: no zip"}'),
    (errors.FileTooLarge(1), 413, '{"message":"400 Bad request - File is too large"}'),
    (errors.UploadStalled(), 408, '{"message":"408 Request Timeout"}'),
    (errors.UploadTooOld(), 503, '{"message":"503 Service Unavailable"}'),
    (errors.StorageFull(), 507, '{"message":"507 Insufficient Storage"}'),
    (errors.MetadataUnavailable(), 503, '{"message":"503 Service Unavailable"}'),
    (problems.ApiVersionGone(), 410, '{"error":"API V3 is no longer supported. Use API V4 instead."}'),
    (
        problems.GroupInvalid({"path": ("has already been taken",)}),
        400,
        '{"message":"Failed to save group {:path=>[\\"has already been taken\\"]}"}',
    ),
    (
        problems.DeployTokenInvalid({"scopes": ("can't be blank",), "username": ("is bad",)}),
        400,
        '{"message":"Scopes can\'t be blank and Username is bad"}',
    ),
]


@pytest.mark.parametrize(("error", "status", "body"), EXAMPLES)
def test_errors_are_told_in_gitlabs_words(error: LarderError, status: int, body: str) -> None:
    answer = answer_to(error, None)
    assert (answer.status, json.dumps(answer.body, separators=(",", ":"))) == (status, body)


def test_only_the_pypi_routes_ask_for_basic_credentials() -> None:
    assert answer_to(errors.Unauthenticated(), Door.PYPI).headers == {"WWW-Authenticate": BASIC_CHALLENGE}
    assert answer_to(errors.Unauthenticated(), Door.CONTROL).headers == {}
    assert answer_to(errors.TokenExpired(), Door.PYPI).headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer_to(errors.Forbidden(), Door.PYPI).headers == {}


def test_what_may_come_back_says_when_to_try_again() -> None:
    for error in (errors.MetadataUnavailable(), errors.BlobStoreUnavailable(), errors.UploadTooOld()):
        assert answer_to(error, None).headers == {"Retry-After": "1"}


@pytest.mark.parametrize(("seconds", "told"), [(0.001, "1"), (1.0, "1"), (59.2, "60")])
def test_who_failed_too_often_hears_in_whole_seconds_when_to_try_again(seconds: float, told: str) -> None:
    answer = answer_to(problems.TooManyFailures(seconds), Door.PYPI)
    assert (answer.status, answer.body) == (429, {"message": "429 Too Many Requests"})
    assert answer.headers == {"Retry-After": told}


@given(reason=st.text())
def test_any_reason_can_be_told(reason: str) -> None:
    assert json.dumps(answer_to(errors.ValidationFailed(reason), None).body)
