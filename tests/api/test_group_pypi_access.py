"""Who may pull from a group, and what of it: the contract's matrices for the PyPI endpoints of groups."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from shared.models import AccessLevel, Namespace, Project, RegistryAccess, User, Visibility
from shared.principals import WRITE_PACKAGES
from tests.api.registry import ROOT_TOKEN, SIMPLE_JSON, Answer, Registry, sha256
from tests.api.tenants import add_deploy_token, add_group, add_job_token, add_project, join_group, let_jobs_in
from tests.distributions import build_wheel, wheel_file_name

PUBLIC, INTERNAL, PRIVATE = Visibility.PUBLIC, Visibility.INTERNAL, Visibility.PRIVATE
GUEST, PLANNER, REPORTER, DEVELOPER = (
    AccessLevel.GUEST,
    AccessLevel.PLANNER,
    AccessLevel.REPORTER,
    AccessLevel.DEVELOPER,
)

BODIES = {
    401: b'{"message":"401 Unauthorized"}',
    403: b'{"message":"403 Forbidden"}',
    404: b'{"message":"404 Not Found"}',
}
NO_PACKAGE = b'{"message":"404 Package Not Found"}'
NO_FILE = b'{"message":"404 Not found"}'
BASIC = 'Basic realm="GitLab Packages Registry"'


def basic(password: str, username: str = "whoever") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


def pypi_of(group: Namespace | int | str) -> str:
    return f"/api/v4/groups/{group.id if isinstance(group, Namespace) else group}/-/packages/pypi"


def paths_of(name: str) -> tuple[str, str, str]:
    """Return index, page and file of a package with one wheel."""
    return "simple/", f"simple/{name}/", f"files/{sha256(build_wheel(name, '1.0'))}/{wheel_file_name(name, '1.0')}"


async def publish(registry: Registry, project: Project, name: str) -> None:
    wheel = build_wheel(name, "1.0")
    answer = await registry.upload(wheel, name=name, file_name=wheel_file_name(name, "1.0"), to=project.id)
    assert answer.status == 201, answer.body


def check(answer: Answer, status: int, row: object) -> None:
    assert answer.status == status, row
    if status in BODIES:
        assert answer.body == BODIES[status], row
    assert answer.headers.get("www-authenticate") == (BASIC if status == 401 else None), row


MATRIX = [
    (PUBLIC, DEVELOPER, "good", 200),
    (PUBLIC, GUEST, "good", 200),
    (PUBLIC, DEVELOPER, "bad", 200),
    (PUBLIC, GUEST, "bad", 200),
    (PUBLIC, None, "good", 200),
    (PUBLIC, None, "bad", 200),
    (PUBLIC, None, None, 200),
    (INTERNAL, DEVELOPER, "good", 200),
    (INTERNAL, GUEST, "external", 200),
    (INTERNAL, None, "good", 403),
    (INTERNAL, None, "external", 404),
    (INTERNAL, GUEST, "bad", 401),
    (INTERNAL, None, "bad", 401),
    (INTERNAL, None, None, 401),
    (PRIVATE, DEVELOPER, "good", 200),
    (PRIVATE, REPORTER, "good", 200),
    (PRIVATE, PLANNER, "good", 200),
    (PRIVATE, GUEST, "good", 200),
    (PRIVATE, DEVELOPER, "bad", 401),
    (PRIVATE, GUEST, "bad", 401),
    (PRIVATE, None, "good", 404),
    (PRIVATE, None, "bad", 401),
    (PRIVATE, None, None, 401),
]


async def test_who_may_pull_from_a_group(registry: Registry) -> None:
    """Group and project have one visibility, and the caller has one role in both, as in GitLab's own matrix."""
    groups = {}
    for visibility in Visibility:
        groups[visibility] = group = await add_group(registry, visibility.value, visibility=visibility)
        await publish(registry, await add_project(registry, group, "app", visibility=visibility), "pkg")
    for number, row in enumerate(MATRIX):
        visibility, level, credential, status = row
        user, token = await registry.add_user(f"user{number}", is_external=credential == "external")
        if level is not None:
            await join_group(registry, groups[visibility], user, level)
        headers = {} if credential is None else basic("glpat-bad" if credential == "bad" else token)
        for path in paths_of("pkg"):
            answer = await registry.get(f"{pypi_of(groups[visibility])}/{path}", token=None, **headers)
            check(answer, status, (row, path))
    for group in groups.values():
        check(await registry.get(f"{pypi_of(group)}/simple"), 200, "an administrator")


class TestWithGuestsKeptOut:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_ALLOW_GUESTS_TO_PULL": "false"}

    async def test_a_guest_may_not_pull_from_a_private_group_nor_sees_private_projects_of_a_public_one(
        self, registry: Registry
    ) -> None:
        closed = await add_group(registry, "closed")
        opened = await add_group(registry, "opened", visibility=PUBLIC)
        await publish(registry, await add_project(registry, opened, "shown", visibility=PUBLIC), "shown")
        await publish(registry, await add_project(registry, opened, "hidden"), "hidden")
        for level, status, names in (
            (GUEST, 403, ["shown"]),
            (PLANNER, 403, ["shown"]),
            (REPORTER, 200, ["hidden", "shown"]),
        ):
            user, token = await registry.add_user(f"user{level}")
            for group in (closed, opened):
                await join_group(registry, group, user, level)
            check(await registry.get(f"{pypi_of(closed)}/simple/", token=None, **basic(token)), status, level)
            assert await names_for(registry, opened, basic(token)) == names
            file = await registry.get(f"{pypi_of(opened)}/{paths_of('hidden')[2]}", token=None, **basic(token))
            assert file.status == (200 if "hidden" in names else 404)


async def test_a_member_of_something_below_a_private_group_sees_it_but_may_not_pull_from_it(registry: Registry) -> None:
    top = await add_group(registry, "top")
    team = await add_group(registry, "team", parent=top)
    project = await add_project(registry, team, "app")
    user, token = await registry.add_user("someone")
    await registry.add_member(project, user, DEVELOPER)
    for group in (top, team):
        for path in paths_of("pkg"):
            check(await registry.get(f"{pypi_of(group)}/{path}", token=None, **basic(token)), 403, (group.path, path))


async def test_that_anybody_may_pull_from_a_project_opens_no_group(registry: Registry) -> None:
    group = await add_group(registry, "team")
    project = await add_project(registry, group, "app", registry_access=RegistryAccess.PUBLIC)
    await publish(registry, project, "pkg")
    for path in paths_of("pkg"):
        assert (await registry.get(f"{registry.pypi_of(project.id)}/{path}", token=None)).status == 200
        check(await registry.get(f"{pypi_of(group)}/{path}", token=None), 401, path)


async def test_what_is_no_group_is_not_found_whoever_asks(bare_registry: Registry) -> None:
    _, owner = await bare_registry.add_user("ada")
    async with bare_registry.backends.store.reading() as rows:
        home = await rows.tenants.namespace_by_path("ada")
    assert home is not None
    for group in (999, 0, -1, "9" * 19, "9" * 40, "none", "team%2Fnone", "root%2Fpackages", "ada", home.id, "root%2F"):
        for token in (None, ROOT_TOKEN, owner, "glpat-nobody"):
            for path in paths_of("pkg"):
                answer = await bare_registry.get(f"{pypi_of(group)}/{path}", token=token)
                check(answer, 404, (group, token, path))


async def test_a_group_has_no_place_to_upload_to(bare_registry: Registry) -> None:
    group = await add_group(bare_registry, "team")
    for path in ("", "/", "/authorize"):
        answer = await bare_registry.ask("POST", f"{pypi_of(group)}{path}", data=b"")
        assert (answer.status, answer.body) == (404, b'{"error":"404 Not Found"}')


async def test_of_deploy_tokens_only_the_groups_own_opens_a_group_that_is_not_public(registry: Registry) -> None:
    tops = {one: await add_group(registry, one.value, visibility=one) for one in Visibility}
    subs = {one: await add_group(registry, "sub", parent=tops[one], visibility=one) for one in Visibility}
    projects = {one: await add_project(registry, subs[one], "app", visibility=one) for one in Visibility}
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for visibility in Visibility:
        await publish(registry, projects[visibility], "pkg")
        for source, secret in ((tops, "top"), (subs, "own"), (projects, "app")):
            await add_deploy_token(registry, source[visibility], f"gldt-{secret}-{visibility}")
        await add_deploy_token(registry, subs[visibility], f"gldt-writes-{visibility}", scopes=(WRITE_PACKAGES,))
        await add_deploy_token(registry, subs[visibility], f"gldt-pulls-code-{visibility}", scopes=("read_repository",))
        await add_deploy_token(registry, subs[visibility], f"gldt-late-{visibility}", expires_at=yesterday)
    table = {
        PUBLIC: {"own": 200, "writes": 200, "top": 200, "app": 200, "pulls-code": 200, "late": 200},
        INTERNAL: {"own": 200, "writes": 200, "top": 403, "app": 403, "pulls-code": 403, "late": 401},
        PRIVATE: {"own": 200, "writes": 200, "top": 404, "app": 404, "pulls-code": 404, "late": 401},
    }
    for visibility, row in table.items():
        for secret, status in row.items():
            headers = basic(f"gldt-{secret}-{visibility}")
            answer = await registry.get(f"{pypi_of(subs[visibility])}/simple/", token=None, **headers)
            check(answer, status, (visibility, secret))
        for transport in (basic(f"gldt-own-{visibility}"), {"Deploy-Token": f"gldt-own-{visibility}"}):
            for path in paths_of("pkg"):
                answer = await registry.get(f"{pypi_of(subs[visibility])}/{path}", token=None, **transport)
                check(answer, 200, (visibility, transport, path))


@dataclass(frozen=True, slots=True)
class Tree:
    """A public group with a project of each kind, and a private group in it. Each project has a package of its name."""

    registry: Registry
    top: Namespace
    sub: Namespace
    projects: dict[str, Project]
    elsewhere: Project

    async def member(self, username: str, of: Namespace | Project | None, *, is_external: bool = False) -> User:
        """Add a reporter of something, whose token is called `glpat-token-of-<username>`."""
        user, _ = await self.registry.add_user(username, is_external=is_external)
        match of:
            case Namespace():
                await join_group(self.registry, of, user, REPORTER)
            case Project():
                await self.registry.add_member(of, user, REPORTER)
        return user


async def plant(registry: Registry) -> Tree:
    top = await add_group(registry, "top", visibility=PUBLIC)
    sub = await add_group(registry, "sub", parent=top)
    projects = {
        "open": await add_project(registry, top, "open", visibility=PUBLIC),
        "inner": await add_project(registry, top, "inner", visibility=INTERNAL),
        "secret": await add_project(registry, top, "secret"),
        "anyone": await add_project(registry, top, "anyone", registry_access=RegistryAccess.PUBLIC),
        "deep": await add_project(registry, sub, "deep"),
        "off": await add_project(registry, top, "off", visibility=PUBLIC),
    }
    elsewhere = await add_project(registry, await add_group(registry, "beside", visibility=PUBLIC), "elsewhere")
    for name, project in {**projects, "elsewhere": elsewhere}.items():
        await publish(registry, project, name)
    off = f"/api/v4/projects/{projects['off'].id}"
    switched = await registry.ask("PUT", off, data={"package_registry_access_level": "disabled"})
    assert switched.status == 200
    return Tree(registry=registry, top=top, sub=sub, projects=projects, elsewhere=elsewhere)


async def names_for(registry: Registry, group: Namespace, headers: dict[str, str]) -> list[str]:
    answer = await registry.get(f"{pypi_of(group)}/simple/", token=None, Accept=SIMPLE_JSON, **headers)
    assert answer.status == 200, answer.body
    return [line["name"] for line in answer.json["projects"]]


async def test_a_group_shows_and_serves_each_caller_what_they_may_pull(registry: Registry) -> None:
    tree = await plant(registry)
    top, sub, projects = tree.top, tree.sub, tree.projects
    await tree.member("stranger", None)
    await tree.member("outsider", None, is_external=True)
    await tree.member("of-secret", projects["secret"])
    await tree.member("of-sub", sub, is_external=True)
    reporter = await tree.member("of-top", top)
    await tree.member("of-beside", tree.elsewhere.namespace)
    visiting = await tree.member("visiting", top, is_external=True)
    for source, secret in (
        (top, "gldt-top"),
        (sub, "gldt-sub"),
        (projects["secret"], "gldt-secret"),
        (projects["off"], "gldt-off"),
        (tree.elsewhere.namespace, "gldt-beside"),
        (tree.elsewhere, "gldt-elsewhere"),
    ):
        await add_deploy_token(registry, source, secret)
    await add_deploy_token(registry, top, "gldt-code", scopes=("read_repository",))
    await add_job_token(registry, projects["secret"], reporter, "glcbt-secret")
    await add_job_token(registry, tree.elsewhere, visiting, "glcbt-elsewhere")
    await let_jobs_in(registry, projects["deep"], of=projects["secret"])
    await let_jobs_in(registry, projects["off"], of=projects["secret"])
    await let_jobs_in(registry, projects["anyone"], of=tree.elsewhere)

    all_of_it = {"open", "inner", "secret", "anyone", "deep"}
    job = "gitlab-ci-token"
    # Caller, what the pages show, and what is served besides: only deploy tokens may pull what they are not shown.
    table: list[tuple[dict[str, str], set[str], set[str]]] = [
        ({}, {"open"}, set()),
        (basic("glpat-token-of-stranger"), {"open", "inner"}, set()),
        (basic("glpat-token-of-outsider"), {"open"}, set()),
        (basic("glpat-token-of-of-secret"), {"open", "inner", "secret"}, set()),
        (basic("glpat-token-of-of-sub"), {"open", "deep"}, set()),
        (basic("glpat-token-of-of-top"), all_of_it, set()),
        (basic("glpat-token-of-of-beside"), {"open", "inner"}, set()),
        (basic(ROOT_TOKEN), all_of_it, set()),
        (basic("gldt-top"), all_of_it, set()),
        (basic("gldt-sub"), {"deep"}, {"open", "inner"}),
        (basic("gldt-secret"), {"secret"}, {"open", "inner"}),
        (basic("gldt-off"), set(), {"open", "inner"}),
        (basic("gldt-beside"), set(), {"open", "inner"}),
        (basic("gldt-elsewhere"), set(), {"open", "inner"}),
        (basic("gldt-code"), set(), {"open", "inner"}),
        (basic("glcbt-secret", job), {"open", "inner", "secret", "deep"}, set()),
        (basic("glcbt-elsewhere", job), {"open", "anyone"}, set()),
    ]
    for headers, shown, served in table:
        row = base64.b64decode(headers.get("Authorization", "Basic ").removeprefix("Basic "))
        assert await names_for(registry, top, headers) == sorted(shown), row
        for name in (*projects, "elsewhere"):
            _, page, file = paths_of(name)
            answer = await registry.get(f"{pypi_of(top)}/{page}", token=None, **headers)
            assert (answer.status == 200) is (name in shown), (row, name)
            assert answer.status == 200 or (answer.status, answer.body) == (404, NO_PACKAGE), (row, name)
            for beside in ("", ".metadata") if name == "secret" else ("",):
                answer = await registry.get(f"{pypi_of(top)}/{file}{beside}", token=None, **headers)
                assert (answer.status == 200) is (name in shown | served), (row, name)
                assert answer.status == 200 or (answer.status, answer.body) == (404, NO_FILE), (row, name)
    assert await names_for(registry, sub, basic("gldt-sub")) == ["deep"]
    assert await names_for(registry, sub, basic("glpat-token-of-of-top")) == ["deep"]
