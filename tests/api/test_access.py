"""Who may read and who may publish, as far as personal access tokens go; the matrices are in `test_status_matrix`."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from shared.models import AccessLevel, Project, RegistryAccess, Visibility
from tests.api.registry import ROOT_TOKEN, Answer, Registry

UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
FORBIDDEN = b'{"message":"403 Forbidden"}'
NOT_FOUND = b'{"message":"404 Not Found"}'
BASIC = 'Basic realm="GitLab Packages Registry"'
BODIES = {401: UNAUTHORIZED, 403: FORBIDDEN, 404: NOT_FOUND}
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def basic(password: str, username: str = "whoever") -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


async def read(registry: Registry, project: Project, authorization: str | None) -> Answer:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await registry.get(f"{registry.pypi_of(project.id)}/simple/", token=None, **headers)


async def push(registry: Registry, project: Project, authorization: str | None) -> Answer:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await registry.ask("POST", registry.pypi_of(project.id), token=None, data=b"", **headers)


def check(answer: Answer, status: int) -> None:
    assert answer.status == status
    if status in BODIES:
        assert answer.body == BODIES[status]
    assert answer.headers.get("www-authenticate") == (BASIC if status == 401 else None)


async def test_a_private_projects_registry_may_be_open_to_all_for_reading_only(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("target", registry_access=RegistryAccess.PUBLIC)
    check(await read(bare_registry, project, None), 200)
    check(await push(bare_registry, project, None), 401)


async def test_a_public_projects_registry_may_be_its_members_only(bare_registry: Registry) -> None:
    registry = bare_registry
    project = await registry.add_project("target", visibility=Visibility.PUBLIC, registry_access=RegistryAccess.PRIVATE)
    guest, guest_token = await registry.add_user("guest")
    _, stranger_token = await registry.add_user("stranger")
    await registry.add_member(project, guest, AccessLevel.GUEST)
    packages = f"/api/v4/projects/{project.id}/packages"
    for token, status in ((None, 403), (stranger_token, 403), (guest_token, 200), (ROOT_TOKEN, 200)):
        check(await read(registry, project, None if token is None else basic(token)), status)
        assert (await registry.get(packages, token=token)).status == status
    seen = await read(registry, project, basic(guest_token))
    assert seen.headers["cache-control"] == "private, no-cache"


async def test_a_registry_that_is_switched_off_is_forbidden_to_who_sees_the_project(bare_registry: Registry) -> None:
    project = await bare_registry.add_project(
        "target", visibility=Visibility.PUBLIC, registry_access=RegistryAccess.DISABLED
    )
    check(await read(bare_registry, project, None), 403)
    check(await read(bare_registry, project, basic(ROOT_TOKEN)), 403)


@pytest.mark.parametrize("project", ["99", "0", "-1", "9" * 19, "9" * 40, "target", "team", "team%2Fnone", "root%2F"])
@pytest.mark.parametrize("token", [None, ROOT_TOKEN, "glpat-nobody"])
async def test_an_unknown_project_is_not_found_whoever_asks(
    bare_registry: Registry, project: str, token: str | None
) -> None:
    answer = await bare_registry.get(f"/api/v4/projects/{project}/packages/pypi/simple", token=token)
    assert (answer.status, answer.body) == (404, NOT_FOUND)


async def test_a_strangers_private_project_looks_like_none(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("target")
    _, token = await bare_registry.add_user("stranger")
    seen = await bare_registry.get(f"{bare_registry.pypi_of(project.id)}/simple/", token=token)
    none = await bare_registry.get(f"{bare_registry.pypi_of(999)}/simple/", token=token)
    assert (seen.status, seen.body) == (none.status, none.body) == (404, NOT_FOUND)


def _error(name: str, description: str) -> bytes:
    return f'{{"error":"{name}","error_description":"{description}"}}'.encode()


EXPIRED = "Token is expired. You can either do re-authorization or token refresh."
REVOKED = "Token was revoked. You have to re-authorize from the user."


@pytest.mark.parametrize("transport", ["private", "bearer", "basic", "query"])
@pytest.mark.parametrize(
    ("times", "description"),
    [
        ({"expires_at": YESTERDAY}, EXPIRED),
        ({"revoked_at": YESTERDAY}, REVOKED),
        ({"expires_at": YESTERDAY, "revoked_at": YESTERDAY}, EXPIRED),
    ],
)
async def test_a_token_past_its_time_is_told_so_even_where_none_is_needed(
    bare_registry: Registry, transport: str, times: dict[str, datetime], description: str
) -> None:
    project = await bare_registry.add_project("target", visibility=Visibility.PUBLIC)
    user, _ = await bare_registry.add_user("someone")
    secret = "glpat-past-its-time-of-use"
    await bare_registry.add_token(user, secret, expires_at=times.get("expires_at"), revoked_at=times.get("revoked_at"))
    headers = {
        "private": {"PRIVATE-TOKEN": secret},
        "bearer": {"Authorization": f"Bearer {secret}"},
        "basic": {"Authorization": basic(secret)},
        "query": {},
    }[transport]
    query = f"?private_token={secret}" if transport == "query" else ""
    answer = await bare_registry.get(f"{bare_registry.pypi_of(project.id)}/simple/{query}", token=None, **headers)
    assert (answer.status, answer.body) == (401, _error("invalid_token", description))
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="{description}"'
    )


async def test_a_token_without_the_scope_is_told_which_would_do(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("target", visibility=Visibility.PUBLIC)
    user, _ = await bare_registry.add_user("someone")
    await bare_registry.add_member(project, user, AccessLevel.DEVELOPER)
    await bare_registry.add_token(user, "glpat-user", scopes=("read_user",))
    await bare_registry.add_token(user, "glpat-reader", scopes=("read_api",))
    body = (
        b'{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by '
        b'the access token.","scope":"%s"}'
    )
    denied = await read(bare_registry, project, basic("glpat-user"))
    assert (denied.status, denied.body) == (403, body % b"api read_api")
    assert (await read(bare_registry, project, basic("glpat-reader"))).status == 200
    denied = await push(bare_registry, project, basic("glpat-reader"))
    assert (denied.status, denied.body) == (403, body % b"api read_api")


@pytest.mark.parametrize(
    "headers",
    [
        {"PRIVATE-TOKEN": "garbage"},
        {"Authorization": "Bearer garbage"},
        {"Authorization": basic("garbage", "gitlab-ci-token")},
    ],
)
async def test_some_garbage_ends_the_request_even_where_nothing_is_needed(
    bare_registry: Registry, headers: dict[str, str]
) -> None:
    project = await bare_registry.add_project("target", visibility=Visibility.PUBLIC)
    check(await bare_registry.get(f"{bare_registry.pypi_of(project.id)}/simple/", token=None, **headers), 401)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": basic("garbage")},
        {"Authorization": "Basic not-base64!"},
        {"Authorization": "Basic "},
        {"Authorization": "Digest x"},
        {"Authorization": basic("", "gitlab-ci-token")},
        {"Deploy-Token": "garbage"},
        {"JOB-TOKEN": "garbage"},
        {"PRIVATE-TOKEN": " "},
    ],
)
async def test_other_garbage_is_nobody_in_particular(bare_registry: Registry, headers: dict[str, str]) -> None:
    project = await bare_registry.add_project("target", visibility=Visibility.PUBLIC)
    check(await bare_registry.get(f"{bare_registry.pypi_of(project.id)}/simple/", token=None, **headers), 200)
