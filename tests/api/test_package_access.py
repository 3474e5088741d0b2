"""Who may fetch single files and change packages through the Packages API: the matrix of the contract's section 7."""

from dataclasses import dataclass

import pytest

from shared.models import AccessLevel, RegistryAccess, Visibility
from tests.api.published import CONTENT, add_deploy_token, add_job, publish
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.api.test_access import basic

PUBLIC, INTERNAL, PRIVATE = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE
GUEST, PLANNER, REPORTER = AccessLevel.GUEST, AccessLevel.PLANNER, AccessLevel.REPORTER
DEVELOPER, MAINTAINER, OWNER = AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER

FORBIDDEN = b'{"message":"403 Forbidden"}'
NO_PROJECT = b'{"message":"404 Project Not Found"}'
UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
BODIES = {200: CONTENT, 204: b"", 401: UNAUTHORIZED, 403: FORBIDDEN, 404: NO_PROJECT}


@dataclass(frozen=True)
class Row:
    """One line of the matrix.

    Args:
        caller: "anonymous", "user", "external", "admin", "job", or a header with a bad or overlooked credential.
        fetch: the status of a download; `change` that of the two deletes and of a change of status.
    """

    visibility: Visibility
    caller: str
    level: AccessLevel | None
    fetch: int
    change: int
    access: RegistryAccess = RegistryAccess.ENABLED


MATRIX = [
    Row(PUBLIC, "anonymous", None, 200, 403),
    *(Row(PUBLIC, "user", level, 200, 403) for level in (None, GUEST, PLANNER, REPORTER, DEVELOPER)),
    *(Row(PUBLIC, "user", level, 200, 204) for level in (MAINTAINER, OWNER)),
    Row(PUBLIC, "admin", None, 200, 204),
    Row(INTERNAL, "anonymous", None, 404, 404),
    Row(INTERNAL, "user", None, 200, 403),
    Row(INTERNAL, "external", None, 404, 404),
    Row(INTERNAL, "external", MAINTAINER, 200, 204),
    Row(PRIVATE, "anonymous", None, 404, 404),
    Row(PRIVATE, "user", None, 404, 404),
    *(Row(PRIVATE, "user", level, 200, 403) for level in (GUEST, PLANNER, REPORTER, DEVELOPER)),
    *(Row(PRIVATE, "user", level, 200, 204) for level in (MAINTAINER, OWNER)),
    Row(PRIVATE, "admin", None, 200, 204),
    *(Row(each, "unknown token", MAINTAINER, 401, 401) for each in Visibility),
    *(Row(each, "unknown job token", MAINTAINER, 401, 401) for each in Visibility),
    *(Row(each, "unknown bearer", MAINTAINER, 401, 401) for each in Visibility),
    Row(PUBLIC, "basic", MAINTAINER, 200, 403),
    Row(PRIVATE, "basic", MAINTAINER, 404, 404),
    Row(PUBLIC, "deploy token", MAINTAINER, 200, 403),
    Row(PRIVATE, "deploy token", MAINTAINER, 404, 404),
    Row(PRIVATE, "bearer deploy token", MAINTAINER, 401, 401),
    Row(PRIVATE, "unknown deploy token", MAINTAINER, 404, 404),
    Row(PUBLIC, "job", None, 200, 403),
    Row(PRIVATE, "job", DEVELOPER, 200, 403),
    Row(PRIVATE, "job", MAINTAINER, 200, 204),
    Row(PRIVATE, "bearer job", MAINTAINER, 200, 204),
    *(Row(PUBLIC, who, None, 403, 403, RegistryAccess.DISABLED) for who in ("anonymous", "user", "admin")),
    *(Row(PRIVATE, "user", level, 403, 403, RegistryAccess.DISABLED) for level in (GUEST, OWNER)),
    Row(PRIVATE, "admin", None, 403, 403, RegistryAccess.DISABLED),
    Row(PRIVATE, "anonymous", None, 404, 404, RegistryAccess.DISABLED),
    # "Anyone can pull" opens the PyPI endpoints, not this API.
    Row(PRIVATE, "anonymous", None, 404, 404, RegistryAccess.PUBLIC),
    Row(PRIVATE, "user", GUEST, 200, 403, RegistryAccess.PUBLIC),
]


async def ask_all(registry: Registry, row: Row, number: int) -> dict[str, Answer]:
    """Do all that the row is about, in a project of its own."""
    project = await registry.add_project(f"p{number}", visibility=row.visibility, registry_access=row.access)
    user, token = await registry.add_user(f"u{number}", is_external=row.caller == "external")
    if row.level is not None:
        await registry.add_member(project, user, row.level)
    headers = {
        "anonymous": {},
        "admin": {"PRIVATE-TOKEN": ROOT_TOKEN},
        "unknown token": {"PRIVATE-TOKEN": "glpat-nobody"},
        "unknown job token": {"JOB-TOKEN": "glcbt-nobody"},
        "unknown bearer": {"Authorization": "Bearer nobody"},
        "unknown deploy token": {"Deploy-Token": "gldt-nobody"},
        "basic": {"Authorization": basic(token)},
    }.get(row.caller, {"PRIVATE-TOKEN": token})
    if row.caller.endswith("job"):
        secret = await add_job(registry, user, project)
        headers = {"JOB-TOKEN": secret} if row.caller == "job" else {"Authorization": f"Bearer {secret}"}
    if row.caller.endswith("deploy token") and not row.caller.startswith("unknown"):
        secret = await add_deploy_token(registry, project)
        headers = {"Deploy-Token": secret} if row.caller == "deploy token" else {"Authorization": f"Bearer {secret}"}
    file = await publish(registry, project.id)
    other = await publish(registry, project.id, file_name="pkg-1.0-py3-none-any.whl")
    package = f"/api/v4/projects/{project.id}/packages/{file.package_id}"

    async def ask(method: str, path: str) -> Answer:
        return await registry.ask(method, f"{package}{path}", token=None, **headers)

    return {
        "fetch": await ask("GET", f"/package_files/{file.id}/download"),
        "change": await ask("PUT", "?status=default"),
        "delete file": await ask("DELETE", f"/package_files/{other.id}"),
        "delete package": await ask("DELETE", ""),
    }


@pytest.mark.slow
async def test_who_may_fetch_files_and_change_packages(bare_registry: Registry) -> None:
    found, expected = {}, {}
    for number, row in enumerate(MATRIX):
        answers = await ask_all(bare_registry, row, number)
        changed = 200 if row.change == 204 else row.change
        wanted = {"fetch": row.fetch, "change": changed, "delete file": row.change, "delete package": row.change}
        for name, status in wanted.items():
            answer = answers[name]
            expected[row, name] = (status, BODIES[status])
            shown = answer.body if (name, answer.status) != ("change", 200) else CONTENT
            found[row, name] = (answer.status, shown)
            assert "www-authenticate" not in answer.headers
    assert found == expected


async def test_a_job_that_cannot_see_the_project_is_told_whence_it_comes(bare_registry: Registry) -> None:
    private = await bare_registry.add_project("closed")
    public = await bare_registry.add_project("open", visibility=PUBLIC)
    user, _ = await bare_registry.add_user("starter")
    await bare_registry.add_member(private, user, MAINTAINER)
    await bare_registry.add_member(public, user, MAINTAINER)
    secret = await add_job(bare_registry, user, public)
    into = b'{"message":"403 Forbidden - Authentication by CI/CD job token not allowed from open to closed."}'
    for method, path in (("GET", "/1/package_files/1/download"), ("DELETE", "/1"), ("DELETE", "/1/package_files/1")):
        url = f"/api/v4/projects/team%2Fclosed/packages{path}"
        answer = await bare_registry.ask(method, url, token=None, JOB_TOKEN=secret)
        assert (answer.status, answer.body) == (403, into)


async def test_guests_who_are_kept_out_may_not_even_fetch(bare_registry: Registry) -> None:
    setting = "allow_guest_plus_roles_to_pull_packages=false"
    assert (await bare_registry.ask("PUT", f"/api/v4/application/settings?{setting}")).status == 200
    statuses = {}
    for number, level in enumerate((GUEST, PLANNER, REPORTER)):
        answers = await ask_all(bare_registry, Row(PRIVATE, "user", level, 0, 0), number)
        statuses[level] = [answer.status for answer in answers.values()]
    assert statuses == {GUEST: [403] * 4, PLANNER: [403] * 4, REPORTER: [200, 403, 403, 403]}


async def test_a_token_that_can_only_read_may_fetch_and_not_change(bare_registry: Registry) -> None:
    user, _ = await bare_registry.add_user("reader")
    project = await bare_registry.add_project("target")
    await bare_registry.add_member(project, user, MAINTAINER)
    await bare_registry.add_token(user, "glpat-reader", scopes=("read_api",))
    file = await publish(bare_registry, project.id)
    package = f"/api/v4/projects/{project.id}/packages/{file.package_id}"
    fetched = await bare_registry.get(f"{package}/package_files/{file.id}/download", token="glpat-reader")
    assert (fetched.status, fetched.body) == (200, CONTENT)
    denied = await bare_registry.ask("DELETE", package, token="glpat-reader")
    assert denied.status == 403
    assert denied.body == (
        b'{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by '
        b'the access token.","scope":"api read_api"}'
    )
