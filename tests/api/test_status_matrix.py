"""The contract's tables of statuses, row by row, at index, page and file of a project and a group, and at the upload.

An empty body stands for the upload: 400 is told to those only who were let in. What groups make of roles is tried in
`test_group_pypi_access`, and how far good deploy and job tokens reach in `test_deploy_token_access` and
`test_job_token_access`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from shared.models import AccessLevel, Namespace, Project, Visibility
from tests.api.jobs import begin
from tests.api.registry import Answer, Registry, sha256
from tests.api.tenants import add_group, add_project
from tests.api.test_deploy_token_access import Brought, by_basic, by_header, by_query, make_token
from tests.distributions import build_wheel, wheel_file_name

PUBLIC, INTERNAL, PRIVATE = VISIBILITIES = (Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE)
WHEEL = build_wheel("pkg", "1.0")
PATHS = ("simple/", "simple/pkg/", f"files/{sha256(WHEEL)}/{wheel_file_name('pkg', '1.0')}")
UPLOADS = ("POST", "PUT")
LET_IN = 400
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
PASSWORD = "the password of an account"
BODIES = {
    401: b'{"message":"401 Unauthorized"}',
    403: b'{"message":"403 Forbidden"}',
    404: b'{"message":"404 Not Found"}',
}
BASIC = 'Basic realm="GitLab Packages Registry"'


@pytest.fixture
def environment() -> dict[str, str]:
    """Let one client fail more often than anybody does in a minute."""
    return {"LARDER_AUTH_FAILURES_PER_MINUTE": "10000"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a request is turned away whatever it asks for."""

    status: int
    body: bytes
    challenge: str | None = None


def _invalid_token(description: str) -> Refusal:
    return Refusal(
        401,
        b'{"error":"invalid_token","error_description":"%s"}' % description.encode(),
        f'Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="{description}"',
    )


def _too_narrow(scopes: str) -> bytes:
    description = "The request requires higher privileges than provided by the access token."
    return b'{"error":"insufficient_scope","error_description":"%s","scope":"%s"}' % (
        description.encode(),
        scopes.encode(),
    )


EXPIRED = _invalid_token("Token is expired. You can either do re-authorization or token refresh.")
REVOKED = _invalid_token("Token was revoked. You have to re-authorize from the user.")
TOO_NARROW = Refusal(403, _too_narrow("api read_api"))
BLOCKED = Refusal(403, b'{"message":"403 Forbidden - Your account has been blocked."}')
UNKNOWN = Refusal(401, BODIES[401], BASIC)
# Reads of what is public, reads of what is private, uploads.
Told = tuple[int, int, int] | Refusal
AS_ITSELF: Told = (200, 200, LET_IN)
AS_NOBODY: Told = (200, 401, 401)


@dataclass(frozen=True, slots=True)
class Place:
    """A group and a project in it that has `pkg` 1.0, both of the same visibility."""

    group: Namespace
    project: Project

    @property
    def urls(self) -> tuple[str, str]:
        """Return where the PyPI endpoints of both are."""
        return (
            f"/api/v4/projects/{self.project.id}/packages/pypi",
            f"/api/v4/groups/{self.group.id}/-/packages/pypi",
        )


async def add_place(registry: Registry, visibility: Visibility) -> Place:
    group = await add_group(registry, visibility, visibility=visibility)
    project = await add_project(registry, group, "app", visibility=visibility)
    assert (await registry.upload(WHEEL, file_name=wheel_file_name("pkg", "1.0"), to=project.id)).status == 201
    return Place(group, project)


def found(answer: Answer) -> tuple[int, bytes | None, str | None]:
    """Return what counts of an answer: what is served is for other tests."""
    is_refusal = answer.status in (401, 403, 404)
    return answer.status, answer.body if is_refusal else None, answer.headers.get("www-authenticate")


def usual(status: int) -> tuple[int, bytes | None, str | None]:
    return status, BODIES.get(status), BASIC if status == 401 else None


def by_password(token: str) -> Iterator[tuple[str, Brought]]:
    """Give the usernames beside which a personal token may be the password: all."""
    for username in ("anything", "", "gitlab-ci-token", "__token__"):
        yield f"Basic {username}:<{token}>", by_basic(token, username)


def by_header_or_query(token: str) -> Iterator[tuple[str, Brought]]:
    """Give the other places where a personal token may stand."""
    yield f"PRIVATE-TOKEN <{token}>", by_header(PRIVATE_TOKEN=token)
    yield f"Bearer <{token}>", by_header(Authorization=f"Bearer {token}")
    yield f"private_token <{token}>", by_query(private_token=token)


async def gather_people(registry: Registry, *places: Place) -> None:
    """Add developers of these places; their tokens are called after what they are."""
    ada, _ = await registry.add_user("ada")
    bob, _ = await registry.add_user("blocked")
    body = {"username": "eve", "name": "Eve", "email": "eve@example.org", "password": PASSWORD}
    eve = (await registry.post_json("/api/v4/users", body)).json["id"]
    for place in places:
        for user_id in (ada.id, bob.id, eve):
            member = {"user_id": user_id, "access_level": AccessLevel.DEVELOPER}
            assert (await registry.post_json(f"/api/v4/groups/{place.group.id}/members", member)).status == 201
    await registry.add_token(ada, "glpat-expired", expires_at=YESTERDAY)
    await registry.add_token(ada, "glpat-revoked", revoked_at=YESTERDAY)
    await registry.add_token(ada, "glpat-expired-and-revoked", expires_at=YESTERDAY, revoked_at=YESTERDAY)
    await registry.add_token(ada, "glpat-narrow", scopes=("read_user",))
    await registry.add_token(ada, "glpat-narrow-expired", scopes=("read_user",), expires_at=YESTERDAY)
    await registry.add_token(ada, "glpat-reads", scopes=("read_api",))
    await registry.add_token(bob, "glpat-blocked-expired", expires_at=YESTERDAY)
    await registry.add_token(bob, "glpat-blocked-narrow", scopes=("read_user",))
    assert (await registry.ask("POST", f"/api/v4/users/{bob.id}/block")).status == 201


async def rows_of(registry: Registry, place: Place) -> list[tuple[str, Brought, Told]]:
    """Return the table of the contract's 2.1, and the order of checks at the end of its 2.3."""
    job = await begin(registry, place.project)
    deploy = {
        ending: (await make_token(registry, place.group, "write_package_registry", ending=ending))["token"]
        for ending in (None, "expired", "revoked")
    }
    rows: list[tuple[str, Brought, Told]] = [
        ("nothing", Brought(), AS_NOBODY),
        ("Basic user:garbage", by_basic("garbage", "user"), AS_NOBODY),
        ("Basic gitlab-ci-token:garbage", by_basic("garbage", "gitlab-ci-token"), UNKNOWN),
        ("Basic gitlab-ci-token:<job token>", by_basic(job, "gitlab-ci-token"), AS_ITSELF),
        ("Basic foo:<job token>", by_basic(job, "foo"), AS_NOBODY),
        ("Bearer <job token>", by_header(Authorization=f"Bearer {job}"), AS_ITSELF),
        ("Basic anything:<deploy token>", by_basic(deploy[None]), AS_ITSELF),
        ("Deploy-Token <deploy token>", by_header(Deploy_Token=deploy[None]), AS_ITSELF),
        ("PRIVATE-TOKEN garbage", by_header(PRIVATE_TOKEN="garbage"), UNKNOWN),
        ("private_token garbage", by_query(private_token="garbage"), UNKNOWN),
        ("Bearer garbage", by_header(Authorization="Bearer garbage"), UNKNOWN),
        ("access_token garbage", by_query(access_token="garbage"), UNKNOWN),
        ("Deploy-Token garbage", by_header(Deploy_Token="garbage"), AS_NOBODY),
        ("JOB-TOKEN <job token>", by_header(JOB_TOKEN=job), AS_NOBODY),
        ("job_token <job token>", by_query(job_token=job), AS_NOBODY),
        ("Basic eve:<account password>", by_basic(PASSWORD, "eve"), AS_NOBODY),
        ("Basic email:<account password>", by_basic(PASSWORD, "eve@example.org"), AS_NOBODY),
    ]
    for way in (by_password, by_header_or_query):
        rows += [(name, brought, AS_ITSELF) for name, brought in way("glpat-token-of-ada")]
    for token, told in (
        ("glpat-expired", EXPIRED),
        ("glpat-revoked", REVOKED),
        ("glpat-expired-and-revoked", EXPIRED),
        ("glpat-narrow", TOO_NARROW),
        ("glpat-narrow-expired", EXPIRED),
        ("glpat-token-of-blocked", BLOCKED),
        ("glpat-blocked-expired", EXPIRED),
        ("glpat-blocked-narrow", TOO_NARROW),
    ):
        rows.append((f"Basic anything:<{token}>", by_basic(token), told))
        rows.append((f"PRIVATE-TOKEN <{token}>", by_header(PRIVATE_TOKEN=token), told))
    for ending in ("expired", "revoked"):
        rows.append((f"Basic anything:<{ending} deploy token>", by_basic(deploy[ending]), AS_NOBODY))
        rows.append((f"Deploy-Token <{ending} deploy token>", by_header(Deploy_Token=deploy[ending]), AS_NOBODY))
    return rows


async def test_every_credential_gets_its_status_at_every_endpoint(registry: Registry) -> None:
    """Source: contract, PyPI 2.1 and 2.3."""
    places = (await add_place(registry, PUBLIC), await add_place(registry, PRIVATE))
    await gather_people(registry, *places)
    wrong = {}
    for number, place in enumerate(places):
        for name, brought, told in await rows_of(registry, place):
            query = "&".join(f"{key}={value}" for key, value in brought.query.items())
            asked = [("GET", f"{url}/{path}") for url in place.urls for path in PATHS]
            for method, url in (*asked, ("POST", place.urls[0])):
                answer = await registry.ask(method, f"{url}?{query}", token=None, data=b"", **brought.headers)
                if isinstance(told, Refusal):
                    expected: tuple[int, bytes | None, str | None] = (told.status, told.body, told.challenge)
                else:
                    expected = usual(told[number if method == "GET" else 2])
                if found(answer) != expected:
                    wrong[name, method, url] = found(answer)
    assert wrong == {}


async def test_a_token_that_only_reads_is_told_so_when_it_uploads(registry: Registry) -> None:
    place = await add_place(registry, PRIVATE)
    await gather_people(registry, place)
    brought = by_basic("glpat-reads").headers
    for url in place.urls:
        for path in PATHS:
            assert (await registry.get(f"{url}/{path}", token=None, **brought)).status == 200
    for method in UPLOADS:
        answer = await registry.ask(method, place.urls[0], token=None, data=b"", **brought)
        assert found(answer) == (403, TOO_NARROW.body, None)


# Role in the project, how the caller signs in; what reads and uploads are answered with where the project is public,
# internal and private. None is no member; "external" is a good token of a user who is none of the house.
Three = tuple[int, int, int]
Role = tuple[AccessLevel | None, str | None, tuple[Three, Three]]
MAY_UPLOAD: tuple[Three, Three] = ((200, 200, 200), (LET_IN, LET_IN, LET_IN))
MAY_READ: tuple[Three, Three] = ((200, 200, 200), (403, 403, 403))
SIGNED_OUT: tuple[Three, Three] = ((200, 401, 401), (401, 401, 401))
ROLES: list[Role] = [
    (AccessLevel.OWNER, "good", MAY_UPLOAD),
    (AccessLevel.MAINTAINER, "good", MAY_UPLOAD),
    (AccessLevel.DEVELOPER, "good", MAY_UPLOAD),
    (AccessLevel.DEVELOPER, "external", MAY_UPLOAD),
    (AccessLevel.REPORTER, "good", MAY_READ),
    (AccessLevel.PLANNER, "good", MAY_READ),
    (AccessLevel.GUEST, "good", MAY_READ),
    (AccessLevel.GUEST, "external", MAY_READ),
    (None, "good", ((200, 200, 404), (403, 403, 404))),
    (None, "external", ((200, 404, 404), (403, 404, 404))),
    (AccessLevel.DEVELOPER, "bad", SIGNED_OUT),
    (AccessLevel.GUEST, "bad", SIGNED_OUT),
    (None, "bad", SIGNED_OUT),
    (None, None, SIGNED_OUT),
]
GUESTS_KEPT_OUT: tuple[Three, Three] = ((200, 200, 403), (403, 403, 403))
ROLES_WITH_GUESTS_KEPT_OUT: list[Role] = [
    (AccessLevel.REPORTER, "good", MAY_READ),
    (AccessLevel.PLANNER, "good", GUESTS_KEPT_OUT),
    (AccessLevel.GUEST, "good", GUESTS_KEPT_OUT),
]


async def check_roles(registry: Registry, roles: list[Role]) -> None:
    places = [await add_place(registry, visibility) for visibility in VISIBILITIES]
    wrong = {}
    for number, (level, credential, (reads, uploads)) in enumerate(roles):
        user, token = await registry.add_user(f"user{number}", is_external=credential == "external")
        brought = Brought() if credential is None else by_basic("glpat-bad" if credential == "bad" else token)
        for place, read, upload in zip(places, reads, uploads, strict=True):
            if level is not None:
                await registry.add_member(place.project, user, level)
            url, _ = place.urls
            for method, path, status in (
                *(("GET", f"/{path}", read) for path in PATHS),
                *((method, "", upload) for method in UPLOADS),
            ):
                answer = await registry.ask(method, f"{url}{path}", token=None, data=b"", **brought.headers)
                if found(answer) != usual(status):
                    wrong[level, credential, method, url, path] = found(answer)
    assert wrong == {}


async def test_every_role_gets_its_status_at_every_endpoint_of_a_project(registry: Registry) -> None:
    """Source: contract, PyPI 3.2 and 3.3."""
    await check_roles(registry, ROLES)


class TestWithGuestsKeptOut:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_ALLOW_GUESTS_TO_PULL": "false"}

    async def test_guests_and_planners_may_not_read_what_is_private(self, registry: Registry) -> None:
        await check_roles(registry, ROLES_WITH_GUESTS_KEPT_OUT)


async def test_a_developer_publishes_whatever_the_visibility(registry: Registry) -> None:
    user, token = await registry.add_user("developer")
    for visibility in VISIBILITIES:
        place = await add_place(registry, visibility)
        await registry.add_member(place.project, user, AccessLevel.DEVELOPER)
        for method, version in (("POST", "2.0"), ("PUT", "3.0")):
            wheel, file_name = build_wheel("pkg", version), wheel_file_name("pkg", version)
            answer = await registry.upload(
                wheel, file_name=file_name, token=token, to=place.project.id, method=method, version=version
            )
            assert (answer.status, answer.body) == (201, b'{"message":"201 Created"}')
