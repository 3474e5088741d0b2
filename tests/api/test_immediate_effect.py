"""What takes access away holds from the very next request on, in every API process: here, two on one database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.models import AccessLevel, Namespace, Project, RegistryAccess, User, Visibility
from shared.settings import Settings
from tests.api.registry import ROOT_TOKEN, Answer, Registry, running_registry, running_worker, sha256
from tests.backends import PostgresqlServer, postgresql_database, postgresql_server
from tests.distributions import build_wheel
from tests.waiting import eventually

__all__ = ["postgresql_database", "postgresql_server"]

WHEEL = build_wheel("pkg", "1.0")
LET_IN = (200, None)
UNAUTHORIZED = (401, b'{"message":"401 Unauthorized"}')
FORBIDDEN = (403, b'{"message":"403 Forbidden"}')
GONE = (404, b'{"message":"404 Not Found"}')
BLOCKED = (403, b'{"message":"403 Forbidden - Your account has been blocked."}')
_INVALID = '{{"error":"invalid_token","error_description":"Token {}."}}'
REVOKED = (401, _INVALID.format("was revoked. You have to re-authorize from the user").encode())
EXPIRED = (401, _INVALID.format("is expired. You can either do re-authorization or token refresh").encode())
READS = ("simple/", "simple/pkg/", f"files/{sha256(WHEEL)}/pkg-1.0-py3-none-any.whl")


@dataclass(frozen=True, slots=True)
class Scene:
    """Two API processes, and somebody who comes to a project in a group in a group.

    Args:
        here: where the change is made.
        there: the other one.
    """

    here: Registry
    there: Registry
    top: Namespace
    team: Namespace
    project: Project
    user: User
    token: str

    async def change(self, method: str, path: str, *, token: str = ROOT_TOKEN) -> Answer:
        answer = await self.here.ask(method, f"/api/v4{path}", token=token)
        assert answer.status < 300, answer.body
        return answer

    async def token_id(self) -> int:
        answer = await self.here.get("/api/v4/personal_access_tokens/self", token=self.token)
        return int(answer.json["id"])

    async def pass_the_end(self, of: Callable[[datetime], Awaitable[None]]) -> None:
        """End something in a moment, and return when that is over."""
        end = datetime.now(UTC) + timedelta(seconds=0.2)
        await of(end)

        async def is_over() -> bool:
            return datetime.now(UTC) >= end

        await eventually(is_over, what="the instant has come", timeout_seconds=5)


@dataclass(frozen=True, slots=True)
class Case:
    """Something that takes access away.

    Args:
        takes_away: by way of one of the processes.
        answer: of every read afterwards.
        of: what the somebody is a member of.
        is_anonymous: they bring no token.
        gives_back: undoes it for the whole instance.
    """

    takes_away: Callable[[Scene], Awaitable[object]]
    answer: tuple[int, bytes | None]
    of: str = "project"
    level: AccessLevel = AccessLevel.DEVELOPER
    visibility: Visibility = Visibility.PRIVATE
    registry_access: RegistryAccess = RegistryAccess.ENABLED
    is_anonymous: bool = False
    gives_back: Callable[[Scene], Awaitable[object]] | None = None


async def _revoke_by_administrator(scene: Scene) -> None:
    await scene.change("DELETE", f"/personal_access_tokens/{await scene.token_id()}")


async def _rotate(scene: Scene) -> None:
    await scene.change("POST", "/personal_access_tokens/self/rotate", token=scene.token)


async def _block_and_unblock_and_block(scene: Scene) -> None:
    for word in ("block", "unblock", "block"):
        await scene.change("POST", f"/users/{scene.user.id}/{word}")
        state = BLOCKED if word == "block" else LET_IN
        assert await what_is_told(scene.there, scene, scene.token) == dict.fromkeys(READS, state)


async def _end_membership(scene: Scene) -> None:
    async def set_end(end: datetime) -> None:
        async with scene.here.backends.store.writing() as rows:
            await rows.tenants.add_project_member(
                scene.project, scene.user.id, level=AccessLevel.DEVELOPER, expires_at=end
            )

    await scene.pass_the_end(set_end)


async def _end_group_membership(scene: Scene) -> None:
    async def set_end(end: datetime) -> None:
        async with scene.here.backends.store.writing() as rows:
            await rows.tenants.add_namespace_member(
                scene.top, scene.user.id, level=AccessLevel.DEVELOPER, expires_at=end
            )

    await scene.pass_the_end(set_end)


def change_project(query: str) -> Callable[[Scene], Awaitable[object]]:
    return lambda scene: scene.change("PUT", f"/projects/{scene.project.id}?{query}")


def change_settings(query: str) -> Callable[[Scene], Awaitable[object]]:
    return lambda scene: scene.change("PUT", f"/application/settings?{query}")


CASES = {
    "a token is revoked": Case(_revoke_by_administrator, REVOKED),
    "a token is revoked by its user": Case(
        lambda scene: scene.change("DELETE", "/personal_access_tokens/self", token=scene.token), REVOKED
    ),
    "a token is rotated": Case(_rotate, REVOKED),
    "a user is blocked": Case(_block_and_unblock_and_block, BLOCKED),
    "a member of the project is removed": Case(
        lambda scene: scene.change("DELETE", f"/projects/{scene.project.id}/members/{scene.user.id}"), GONE
    ),
    "a member of the group is removed": Case(
        lambda scene: scene.change("DELETE", f"/groups/{scene.team.id}/members/{scene.user.id}"), GONE, of="team"
    ),
    "a member of the group above is removed": Case(
        lambda scene: scene.change("DELETE", f"/groups/{scene.top.id}/members/{scene.user.id}"), GONE, of="top"
    ),
    "a member leaves": Case(
        lambda scene: scene.change(
            "DELETE", f"/projects/{scene.project.id}/members/{scene.user.id}", token=scene.token
        ),
        GONE,
    ),
    "a membership of the project comes to its end": Case(_end_membership, GONE),
    "a membership of the group above comes to its end": Case(_end_group_membership, GONE, of="top"),
    "a project becomes private, for strangers": Case(
        change_project("visibility=private"), GONE, of="", visibility=Visibility.PUBLIC
    ),
    "a project becomes private, for nobody in particular": Case(
        change_project("visibility=private"), UNAUTHORIZED, of="", visibility=Visibility.PUBLIC, is_anonymous=True
    ),
    "a project becomes internal, for nobody in particular": Case(
        change_project("visibility=internal"), UNAUTHORIZED, of="", visibility=Visibility.PUBLIC, is_anonymous=True
    ),
    "a registry is switched off, for members": Case(
        change_project("package_registry_access_level=disabled"), FORBIDDEN
    ),
    "a registry is switched off, for nobody in particular": Case(
        change_project("packages_enabled=false"), FORBIDDEN, of="", visibility=Visibility.PUBLIC, is_anonymous=True
    ),
    "a registry is no longer open to all": Case(
        change_project("package_registry_access_level=private"),
        UNAUTHORIZED,
        of="",
        registry_access=RegistryAccess.PUBLIC,
        is_anonymous=True,
    ),
    "no registry is open to all any more": Case(
        change_settings("package_registry_allow_anyone_to_pull_option=false"),
        UNAUTHORIZED,
        of="",
        registry_access=RegistryAccess.PUBLIC,
        is_anonymous=True,
        gives_back=change_settings("package_registry_allow_anyone_to_pull_option=true"),
    ),
    "guests may no longer pull": Case(
        change_settings("allow_guest_plus_roles_to_pull_packages=false"),
        FORBIDDEN,
        level=AccessLevel.GUEST,
        gives_back=change_settings("allow_guest_plus_roles_to_pull_packages=true"),
    ),
    "a project is deleted": Case(lambda scene: scene.change("DELETE", f"/projects/{scene.project.id}"), GONE),
    "a group is deleted": Case(lambda scene: scene.change("DELETE", f"/groups/{scene.top.id}"), GONE),
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def on_engine(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Give the settings for each engine in turn."""
    if request.param == "sqlite":
        return settings
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    name = request.getfixturevalue("postgresql_database")
    server.empty_database(name)
    return replace(settings, database_url=server.url(name))


@pytest.fixture
async def processes(on_engine: Settings) -> AsyncIterator[tuple[Registry, Registry]]:
    """Give two applications, each with backends of its own, and a worker."""
    async with running_registry(on_engine) as here, running_registry(on_engine) as there, running_worker(on_engine):
        yield here, there


async def what_is_told(process: Registry, scene: Scene, token: str | None) -> dict[str, tuple[int, bytes | None]]:
    """Return the status of each read, and the body where it was refused."""
    answers = {path: await process.get(f"{process.pypi_of(scene.project.id)}/{path}", token=token) for path in READS}
    return {path: (answer.status, None if answer.status == 200 else answer.body) for path, answer in answers.items()}


async def arrange(here: Registry, there: Registry, case: Case, number: int) -> Scene:
    user, token = await here.add_user(f"somebody-{number}")
    async with here.backends.store.writing() as rows:
        top = await rows.tenants.add_group(
            parent=None, name="Top", path=f"top-{number}", description="", visibility=case.visibility
        )
        team = await rows.tenants.add_group(
            parent=top, name="Team", path="team", description="", visibility=case.visibility
        )
        project = await rows.tenants.add_project(
            namespace=team,
            name="App",
            path="app",
            description="",
            visibility=case.visibility,
            registry_access=case.registry_access,
            creator_id=None,
        )
        match case.of:
            case "project":
                await rows.tenants.add_project_member(project, user.id, level=case.level, expires_at=None)
            case "team" | "top":
                group = top if case.of == "top" else team
                await rows.tenants.add_namespace_member(group, user.id, level=case.level, expires_at=None)
    assert (await here.upload(WHEEL, to=project.id)).status == 201
    return Scene(here, there, top, team, project, user, token)


async def test_what_takes_access_away_holds_from_the_next_request_on_in_every_process(
    processes: tuple[Registry, Registry],
) -> None:
    expected, found = {}, {}
    for number, (name, case) in enumerate(CASES.items()):
        # Each process makes every other change.
        here, there = processes if number % 2 else processes[::-1]
        scene = await arrange(here, there, case, number)
        token = None if case.is_anonymous else scene.token
        for process in (here, there):
            assert await what_is_told(process, scene, token) == dict.fromkeys(READS, LET_IN), name

        await case.takes_away(scene)

        found[name] = [await what_is_told(process, scene, token) for process in (there, here)]
        expected[name] = [dict.fromkeys(READS, case.answer)] * 2
        if case.gives_back is not None:
            await case.gives_back(scene)
            for process in (there, here):
                assert await what_is_told(process, scene, token) == dict.fromkeys(READS, LET_IN), name
    assert found == expected


async def test_a_lower_level_holds_from_the_next_upload_on_in_every_process(
    processes: tuple[Registry, Registry],
) -> None:
    here, there = processes
    scene = await arrange(here, there, CASES["a member leaves"], 0)
    for level, expected in (
        (AccessLevel.REPORTER, FORBIDDEN),
        (AccessLevel.MAINTAINER, (400, b'{"error":"content is missing"}')),
        (AccessLevel.GUEST, FORBIDDEN),
    ):
        path = f"/projects/{scene.project.id}/members/{scene.user.id}"
        await scene.change("PUT", f"{path}?access_level={int(level)}")
        for process in (there, here):
            answer = await process.upload(None, to=scene.project.id, token=scene.token)
            assert (answer.status, answer.body) == expected


async def test_a_token_is_refused_from_the_instant_on_at_which_it_expires(
    processes: tuple[Registry, Registry],
) -> None:
    here, there = processes
    scene = await arrange(here, there, CASES["a member leaves"], 0)
    secret = "glpat-a-token-that-ends-soon"

    async def set_end(end: datetime) -> None:
        await here.add_token(scene.user, secret, expires_at=end)

    await scene.pass_the_end(set_end)
    for process in (there, here):
        assert await what_is_told(process, scene, secret) == dict.fromkeys(READS, EXPIRED)


async def test_a_deploy_token_is_known_to_nobody_from_the_next_request_on(
    processes: tuple[Registry, Registry],
) -> None:
    here, there = processes
    scene = await arrange(here, there, CASES["a member leaves"], 0)
    for source in (f"/projects/{scene.project.id}", f"/groups/{scene.top.id}"):
        made = await scene.change("POST", f"{source}/deploy_tokens?name=ci&scopes=read_package_registry")
        for is_revoked in (False, True):
            if is_revoked:
                await scene.change("DELETE", f"{source}/deploy_tokens/{made.json['id']}")
            for process in (there, here):
                for path in READS:
                    url = f"{process.pypi_of(scene.project.id)}/{path}"
                    answer = await process.get(url, token=None, Deploy_Token=made.json["token"])
                    told = (answer.status, None if answer.status == 200 else answer.body)
                    assert told == (UNAUTHORIZED if is_revoked else LET_IN)


async def test_a_private_group_is_gone_for_strangers_from_the_next_request_on(
    processes: tuple[Registry, Registry],
) -> None:
    here, there = processes
    scene = await arrange(here, there, CASES["a project becomes private, for strangers"], 0)
    path = f"/api/v4/groups/{scene.top.id}"
    for url in (f"/projects/{scene.project.id}", f"/groups/{scene.team.id}", f"/groups/{scene.top.id}"):
        assert (await there.get(path, token=None)).status == 200
        await scene.change("PUT", f"{url}?visibility=private")
    for process in (there, here):
        for token in (None, scene.token):
            answer = await process.get(path, token=token)
            assert (answer.status, answer.body) == (404, b'{"message":"404 Group Not Found"}')
