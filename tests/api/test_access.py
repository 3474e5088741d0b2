"""Who may read and who may publish: the contract's matrices, as far as personal access tokens go."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from shared.models import AccessLevel, Project, RegistryAccess, Visibility
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.distributions import build_wheel

WHEEL = build_wheel("pkg", "1.0")
PUBLIC, INTERNAL, PRIVATE = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE
GUEST, REPORTER, DEVELOPER = AccessLevel.GUEST, AccessLevel.REPORTER, AccessLevel.DEVELOPER

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


@pytest.mark.parametrize(
    ("visibility", "level", "credential", "status"),
    [
        (PUBLIC, DEVELOPER, "good", 200),
        (PUBLIC, GUEST, "good", 200),
        (PUBLIC, DEVELOPER, "bad", 200),
        (PUBLIC, GUEST, "bad", 200),
        (PUBLIC, None, "good", 200),
        (PUBLIC, None, "bad", 200),
        (PUBLIC, None, None, 200),
        (INTERNAL, None, "good", 200),
        (INTERNAL, None, "external", 404),
        (INTERNAL, GUEST, "external", 200),
        (INTERNAL, None, "bad", 401),
        (INTERNAL, None, None, 401),
        (PRIVATE, DEVELOPER, "good", 200),
        (PRIVATE, REPORTER, "good", 200),
        (PRIVATE, GUEST, "good", 200),
        (PRIVATE, DEVELOPER, "bad", 401),
        (PRIVATE, GUEST, "bad", 401),
        (PRIVATE, None, "good", 404),
        (PRIVATE, None, "bad", 401),
        (PRIVATE, None, None, 401),
    ],
)
async def test_who_may_read(
    bare_registry: Registry,
    visibility: Visibility,
    level: AccessLevel | None,
    credential: str | None,
    status: int,
) -> None:
    project = await bare_registry.add_project("target", visibility=visibility)
    user, token = await bare_registry.add_user("someone", is_external=credential == "external")
    if level is not None:
        await bare_registry.add_member(project, user, level)
    authorization = {None: None, "good": basic(token), "external": basic(token), "bad": basic("glpat-bad")}[credential]
    check(await read(bare_registry, project, authorization), status)


@pytest.mark.parametrize(
    ("visibility", "level", "credential", "status"),
    [
        (PUBLIC, DEVELOPER, "good", 400),
        (PUBLIC, GUEST, "good", 403),
        (PUBLIC, REPORTER, "good", 403),
        (PUBLIC, None, "good", 403),
        (PUBLIC, DEVELOPER, "bad", 401),
        (PUBLIC, None, "bad", 401),
        (PUBLIC, None, None, 401),
        (INTERNAL, DEVELOPER, "good", 400),
        (INTERNAL, None, "good", 403),
        (INTERNAL, None, "external", 404),
        (INTERNAL, None, "bad", 401),
        (INTERNAL, None, None, 401),
        (PRIVATE, DEVELOPER, "good", 400),
        (PRIVATE, GUEST, "good", 403),
        (PRIVATE, REPORTER, "good", 403),
        (PRIVATE, None, "good", 404),
        (PRIVATE, DEVELOPER, "bad", 401),
        (PRIVATE, None, "bad", 401),
        (PRIVATE, None, None, 401),
    ],
)
async def test_who_may_publish(
    bare_registry: Registry,
    visibility: Visibility,
    level: AccessLevel | None,
    credential: str | None,
    status: int,
) -> None:
    """An empty body stands for the upload: 400 is told to those only who were let in."""
    project = await bare_registry.add_project("target", visibility=visibility)
    user, token = await bare_registry.add_user("someone", is_external=credential == "external")
    if level is not None:
        await bare_registry.add_member(project, user, level)
    authorization = {None: None, "good": basic(token), "external": basic(token), "bad": basic("glpat-bad")}[credential]
    check(await push(bare_registry, project, authorization), status)


async def test_a_developer_publishes(registry: Registry) -> None:
    project = await registry.add_project("target")
    user, token = await registry.add_user("developer")
    await registry.add_member(project, user, DEVELOPER)
    assert (await registry.upload(WHEEL, token=token, to="team/target")).status == 201


class TestWithGuestsKeptOut:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_ALLOW_GUESTS_TO_PULL": "false"}

    async def test_a_guest_of_a_private_project_may_not_read(self, bare_registry: Registry) -> None:
        project = await bare_registry.add_project("target")
        user, token = await bare_registry.add_user("guest")
        await bare_registry.add_member(project, user, GUEST)
        check(await read(bare_registry, project, basic(token)), 403)


async def test_a_private_projects_registry_may_be_open_to_all_for_reading_only(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("target", registry_access=RegistryAccess.PUBLIC)
    check(await read(bare_registry, project, None), 200)
    check(await push(bare_registry, project, None), 401)


async def test_a_registry_that_is_switched_off_is_forbidden_to_who_sees_the_project(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("target", visibility=PUBLIC, registry_access=RegistryAccess.DISABLED)
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
    project = await bare_registry.add_project("target", visibility=PUBLIC)
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
    project = await bare_registry.add_project("target", visibility=PUBLIC)
    user, _ = await bare_registry.add_user("someone")
    await bare_registry.add_member(project, user, DEVELOPER)
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
    assert (denied.status, denied.body) == (403, body % b"api")


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
    project = await bare_registry.add_project("target", visibility=PUBLIC)
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
    project = await bare_registry.add_project("target", visibility=PUBLIC)
    check(await bare_registry.get(f"{bare_registry.pypi_of(project.id)}/simple/", token=None, **headers), 200)
