"""Who may read packages through the Packages API: the contract's matrix, column R, and the credentials that count."""

import base64
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.models import AccessLevel, Pipeline, PipelineId, Project, RegistryAccess, User, Visibility
from shared.usecases.token_secrets import digest_of
from tests.api.package_answers import packages_of
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.stored_packages import FIRST, Stored, store_packages, store_pipeline

PUBLIC, INTERNAL, PRIVATE = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE
LEVELS = (
    AccessLevel.GUEST,
    AccessLevel.PLANNER,
    AccessLevel.REPORTER,
    AccessLevel.DEVELOPER,
    AccessLevel.MAINTAINER,
    AccessLevel.OWNER,
)
GUESTS = ("guest", "planner")
NO_PROJECT = {"message": "404 Project Not Found"}
NO_GROUP = {"message": "404 Group Not Found"}
FORBIDDEN = {"message": "403 Forbidden"}
UNAUTHORIZED = {"message": "401 Unauthorized"}
BODIES = {401: UNAUTHORIZED, 403: FORBIDDEN, 404: NO_PROJECT}
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """A project with one package.

    Args:
        urls: of all that can be read of it.
    """

    project: Project
    urls: tuple[str, ...]


async def add_target(
    registry: Registry, path: str, visibility: Visibility, access: RegistryAccess = RegistryAccess.ENABLED
) -> Target:
    project = await registry.add_project(path, visibility=visibility, registry_access=access)
    (package_id,) = await store_packages(registry.settings.database_url, project, [Stored()])
    one = f"{packages_of(project)}/{package_id}"
    return Target(project, (packages_of(project), one, f"{one}/pipelines", f"{one}/package_files"))


async def read_everything(
    registry: Registry, target: Target, token: str | None = None, query: str = "", **headers: str
) -> list[Answer]:
    return [await registry.get(f"{url}{query}", token=token, **headers) for url in target.urls]


def check(answers: list[Answer], status: int, body: object = None) -> None:
    for answer in answers:
        assert answer.status == status
        if status != 200:
            assert answer.json == (body or BODIES[status])
            assert "www-authenticate" not in answer.headers


async def test_who_may_read_packages(bare_registry: Registry) -> None:
    """One of the four calls for each caller and project, in turns: they share their guard."""
    targets = {
        (visibility, access): await add_target(bare_registry, f"{visibility}-{access}", visibility, access)
        for visibility in Visibility
        for access in (RegistryAccess.ENABLED, RegistryAccess.PUBLIC, RegistryAccess.DISABLED)
    }
    callers: dict[str, str | None] = {"nobody": None, "admin": ROOT_TOKEN}
    for level in LEVELS:
        user, callers[level.name.lower()] = await bare_registry.add_user(level.name.lower())
        for target in targets.values():
            await bare_registry.add_member(target.project, user, level)
    _, callers["stranger"] = await bare_registry.add_user("stranger")
    _, callers["outsider"] = await bare_registry.add_user("outsider", is_external=True)
    without = {PUBLIC: (), INTERNAL: ("nobody", "outsider"), PRIVATE: ("nobody", "outsider", "stranger")}
    turns = itertools.cycle(range(4))

    async def check_all(*visibilities: Visibility, guests: int) -> None:
        for (visibility, access), target in targets.items():
            for name, token in callers.items() if visibility in visibilities else ():
                expected = 200
                if name in without[visibility]:
                    expected = 404
                elif access is RegistryAccess.DISABLED:
                    expected = 403
                elif visibility is PRIVATE and name in GUESTS:
                    expected = guests
                answer = await bare_registry.get(target.urls[next(turns)], token=token)
                check([answer], expected)

    await check_all(*Visibility, guests=200)
    setting = "/api/v4/application/settings?allow_guest_plus_roles_to_pull_packages=false"
    assert (await bare_registry.ask("PUT", setting)).status == 200
    await check_all(PRIVATE, guests=403)
    for name in ("reporter", "developer", "maintainer", "owner", "admin"):
        (package,) = (
            await bare_registry.get(targets[PRIVATE, RegistryAccess.ENABLED].urls[0], token=callers[name])
        ).json
        assert ("delete_api_path" in package["_links"]) == (name in ("maintainer", "owner", "admin")), name


async def test_who_may_not_see_a_project_learns_nothing_of_their_mistakes(bare_registry: Registry) -> None:
    hidden = await add_target(bare_registry, "hidden", PRIVATE)
    closed = await add_target(bare_registry, "closed", PUBLIC, RegistryAccess.DISABLED)
    query = "?page=x&order_by=x&status=x&cursor=x&per_page=x"
    check(await read_everything(bare_registry, hidden, query=query), 404)
    check(await read_everything(bare_registry, closed, ROOT_TOKEN, query=query), 403)
    for rest in ("x", "x/pipelines", "999999/package_files"):
        answer = await bare_registry.get(f"{packages_of(hidden.project)}/{rest}", token=None)
        assert (answer.status, answer.json) == (404, NO_PROJECT)
    answer = await bare_registry.get("/api/v4/groups/nowhere/packages?page=x", token=None)
    assert (answer.status, answer.json) == (404, NO_GROUP)
    for unknown in ("999999", "0", "-1", "9" * 30, "nowhere", "no%2Fwhere", "%00", "a%2F%00", "hidden"):
        answer = await bare_registry.get(f"/api/v4/projects/{unknown}/packages?page=x")
        assert (answer.status, answer.json) == (404, NO_PROJECT), unknown
    by_path = await bare_registry.get("/api/v4/projects/Team%2Fhidden/packages/")
    assert (by_path.status, len(by_path.json)) == (200, 1)


async def test_a_wrong_credential_does_not_tell_a_private_project_from_none(bare_registry: Registry) -> None:
    private = (await add_target(bare_registry, "private", PRIVATE)).urls
    missing = tuple(url.replace(private[0], "/api/v4/projects/4711/packages") for url in private)
    user, _ = await bare_registry.add_user("ada")
    await bare_registry.add_token(user, "glpat-revoked", revoked_at=datetime.now(UTC))
    bad: list[dict[str, str]] = [
        {"PRIVATE-TOKEN": "glpat-unknown"},
        {"PRIVATE-TOKEN": "glpat-revoked"},
        {"JOB-TOKEN": "glcbt-unknown"},
        {"Authorization": "Bearer unknown"},
    ]
    for headers in bad:
        for one, other in zip(private, missing, strict=True):
            for method in ("GET", "DELETE"):
                told = [await bare_registry.ask(method, url, token=None, **headers) for url in (one, other)]
                assert {answer.status for answer in told} <= {401, 405}, (headers, one)
                assert told[0].body == told[1].body, (headers, one)


async def test_which_credentials_count(bare_registry: Registry) -> None:
    public, private = [await add_target(bare_registry, f"a-{one}", one) for one in (PUBLIC, PRIVATE)]
    user, token = await bare_registry.add_user("ada")
    await bare_registry.add_member(private.project, user, AccessLevel.REPORTER)
    await bare_registry.add_token(user, "glpat-reads-only", scopes=("read_api",))
    await bare_registry.add_token(user, "glpat-narrow", scopes=("read_user",))
    await bare_registry.add_token(user, "glpat-late", expires_at=datetime.now(UTC) - timedelta(days=1))
    await bare_registry.add_token(user, "glpat-revoked", revoked_at=datetime.now(UTC))
    basic = "Basic " + base64.b64encode(f"ada:{token}".encode()).decode()
    for headers, query, of_public, of_private in (
        ({"PRIVATE_TOKEN": token}, "", 200, 200),
        ({"Authorization": f"Bearer {token}"}, "", 200, 200),
        ({}, f"?private_token={token}", 200, 200),
        ({"PRIVATE_TOKEN": "glpat-reads-only"}, "", 200, 200),
        ({"Authorization": basic}, "", 200, 404),
        ({"Authorization": "Basic !!!"}, "", 200, 404),
        ({"DEPLOY_TOKEN": "gldt-unknown"}, "", 200, 404),
        ({"PRIVATE_TOKEN": "glpat-unknown"}, "", 401, 401),
        ({"Authorization": "Bearer glpat-unknown"}, "", 401, 401),
        ({"JOB_TOKEN": "glcbt-unknown"}, "", 401, 401),
        ({"JOB_TOKEN": token}, "", 401, 401),
        ({}, "?private_token=glpat-unknown", 401, 401),
        ({}, "?job_token=glcbt-unknown", 401, 401),
    ):
        for target, status in ((public, of_public), (private, of_private)):
            check(await read_everything(bare_registry, target, query=query, **headers), status)
    for secret, status, body in (
        (
            "glpat-late",
            401,
            {
                "error": "invalid_token",
                "error_description": "Token is expired. You can either do re-authorization or token refresh.",
            },
        ),
        (
            "glpat-revoked",
            401,
            {
                "error": "invalid_token",
                "error_description": "Token was revoked. You have to re-authorize from the user.",
            },
        ),
        (
            "glpat-narrow",
            403,
            {
                "error": "insufficient_scope",
                "error_description": "The request requires higher privileges than provided by the access token.",
                "scope": "api read_api",
            },
        ),
    ):
        answers = await read_everything(bare_registry, public, secret)
        assert [(answer.status, answer.json) for answer in answers] == [(status, body)] * 4


async def job_of(registry: Registry, project: Project, user: User, *, number: int) -> str:
    """Start a job of the project as this user; return its token."""
    url = registry.settings.database_url
    pipeline_id: PipelineId = await store_pipeline(url, project, number)
    pipeline = Pipeline(
        id=pipeline_id,
        project_id=project.id,
        number=number,
        iid=None,
        ref=None,
        sha=None,
        source=None,
        status=None,
        web_url=None,
        user=user,
        created_at=FIRST,
        updated_at=FIRST,
    )
    secret = f"glcbt-job-{number}"
    async with registry.backends.store.writing() as rows:
        await rows.tokens.add_job(
            pipeline, digest=digest_of(secret), user_id=user.id, expires_at=LATER, creator_id=user.id
        )
    return secret


async def test_jobs_read_what_their_users_may_where_they_are_let_in(bare_registry: Registry) -> None:
    public, private, elsewhere = [
        await add_target(bare_registry, path, visibility)
        for path, visibility in (("open", PUBLIC), ("closed", PRIVATE), ("other", PRIVATE))
    ]
    stranger, _ = await bare_registry.add_user("stranger")
    developer, _ = await bare_registry.add_user("developer")
    maintainer, _ = await bare_registry.add_user("maintainer")
    for target in (private, elsewhere):
        await bare_registry.add_member(target.project, developer, AccessLevel.DEVELOPER)
        await bare_registry.add_member(target.project, maintainer, AccessLevel.MAINTAINER)
    refused = "403 Forbidden - Authentication by CI/CD job token not allowed from {} to closed."
    for number, (source, target, user, status, may_destroy) in enumerate(
        (
            (public, public, stranger, 200, False),
            (private, public, developer, 200, False),
            (private, private, stranger, 403, False),
            (private, private, developer, 200, False),
            (private, private, maintainer, 200, True),
            (elsewhere, private, maintainer, 403, False),
        )
    ):
        token = await job_of(bare_registry, source.project, user, number=number + 1)
        for headers in ({"JOB_TOKEN": token}, {"Authorization": f"Bearer {token}"}):
            answers = await read_everything(bare_registry, target, **headers)
            check(answers, status, {"message": refused.format(source.project.path)})
            assert ("delete_api_path" in answers[1].json.get("_links", {})) == may_destroy
        in_group = await bare_registry.get("/api/v4/groups/team/packages", token=None, JOB_TOKEN=token)
        assert [one["project_path"] for one in in_group.json] == ["team/open"], "jobs are nobody to a group"


async def test_what_a_group_shows_to_whom(bare_registry: Registry) -> None:
    async with bare_registry.backends.store.writing() as rows:
        top = await rows.tenants.add_group(
            parent=None, name="Top", path="top", description="", visibility=Visibility.PRIVATE
        )
        sub = await rows.tenants.add_group(
            parent=top, name="Sub", path="sub", description="", visibility=Visibility.PRIVATE
        )
        own, below, closed = [
            await rows.tenants.add_project(
                namespace=namespace,
                name=path,
                path=path,
                description="",
                visibility=PRIVATE,
                registry_access=access,
                creator_id=None,
            )
            for namespace, path, access in (
                (top, "own", RegistryAccess.ENABLED),
                (sub, "below", RegistryAccess.ENABLED),
                (top, "closed", RegistryAccess.DISABLED),
            )
        ]
        people = {
            name: await rows.tenants.add_user(
                username=name, name=name, email=f"{name}@x", is_admin=False, is_external=False
            )
            for name in ("guest", "reporter", "guest-below", "stranger")
        }
        await rows.tenants.add_namespace_member(top, people["guest"].id, level=AccessLevel.GUEST, expires_at=None)
        await rows.tenants.add_namespace_member(top, people["reporter"].id, level=AccessLevel.REPORTER, expires_at=None)
        await rows.tenants.add_project_member(below, people["guest-below"].id, level=AccessLevel.GUEST, expires_at=None)
    tokens: dict[str, str | None] = {"nobody": None, "root": ROOT_TOKEN}
    for name, user in people.items():
        tokens[name] = f"glpat-token-of-{name}"
        await bare_registry.add_token(user, f"glpat-token-of-{name}")
    for project in (own, below, closed):
        await store_packages(bare_registry.settings.database_url, project, [Stored()])

    async def paths(name: str, of: str, query: str = "") -> list[str] | object:
        answer = await bare_registry.get(f"/api/v4/groups/{of}/packages{query}", token=tokens[name])
        return [one["project_path"] for one in answer.json] if answer.status == 200 else answer.json

    both, deep = ["top/own", "top/sub/below"], ["top/sub/below"]
    for name, with_guests, without_guests in (
        ("root", both, both),
        ("reporter", both, both),
        ("guest", both, []),
        ("guest-below", deep, []),
        ("stranger", NO_GROUP, NO_GROUP),
        ("nobody", NO_GROUP, NO_GROUP),
    ):
        for is_allowed, expected in ((True, with_guests), (False, without_guests)):
            setting = f"allow_guest_plus_roles_to_pull_packages={is_allowed}"
            assert (await bare_registry.ask("PUT", f"/api/v4/application/settings?{setting}")).status == 200
            assert await paths(name, "top") == expected, (name, is_allowed)
    for word in ("true", "True", "1"):
        assert await paths("reporter", "top", f"?exclude_subgroups={word}") == ["top/own"]
    for word in ("false", "False", "0", ""):
        assert await paths("reporter", "top", f"?exclude_subgroups={word}") == both
    assert await paths("reporter", "top%2Fsub") == deep
    assert await paths("reporter", "top", "?order_by=project_path") == ["top/sub/below", "top/own"]
    assert await paths("reporter", "top", "?order_by=project_path&sort=desc") == both
    bad = await bare_registry.get("/api/v4/groups/top/packages", token="glpat-unknown")
    assert (bad.status, bad.json) == (401, UNAUTHORIZED)
