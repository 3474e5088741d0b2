"""What takes access to packages away, and what is told before and afterwards to somebody who had it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.models import AccessLevel, Namespace, Project, RegistryAccess, User, Visibility
from tests.api.registry import ROOT_TOKEN, Answer, Registry, sha256
from tests.distributions import build_wheel
from tests.waiting import eventually

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
    case: "Case"

    def root(self, process: Registry) -> str:
        """Return what the reads begin with."""
        if self.case.in_group:
            return f"{process.url}/api/v4/groups/{self.top.id}/-/packages/pypi"
        return process.pypi_of(self.project.id)

    async def change(self, method: str, path: str, body: Any = None, *, token: str = ROOT_TOKEN) -> Answer:
        data = None if body is None else json.dumps(body)
        answer = await self.here.ask(method, f"/api/v4{path}", token=token, data=data, Content_Type="application/json")
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

        await eventually(is_over, what="the instant has come", timeout_seconds=60)


@dataclass(frozen=True, slots=True)
class Case:
    """Something that takes access away.

    Args:
        takes_away: by way of one of the processes.
        answer: of every read afterwards.
        of: what the somebody is a member of.
        in_group: they read the pages of the group above, not those of the project.
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
    in_group: bool = False
    gives_back: Callable[[Scene], Awaitable[object]] | None = None


async def _revoke_by_administrator(scene: Scene) -> None:
    await scene.change("DELETE", f"/personal_access_tokens/{await scene.token_id()}")


async def rotate(scene: Scene) -> None:
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
    "a token is rotated": Case(rotate, REVOKED),
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
    "a token is revoked, for the pages of a group": Case(_revoke_by_administrator, REVOKED, of="top", in_group=True),
    "a user is blocked, for the pages of a group": Case(_block_and_unblock_and_block, BLOCKED, of="top", in_group=True),
    "a member of a group is removed, for its pages": Case(
        lambda scene: scene.change("DELETE", f"/groups/{scene.top.id}/members/{scene.user.id}"),
        GONE,
        of="top",
        in_group=True,
    ),
    "a membership of a group comes to its end, for its pages": Case(
        _end_group_membership, GONE, of="top", in_group=True
    ),
    "guests may no longer pull from a group": Case(
        change_settings("allow_guest_plus_roles_to_pull_packages=false"),
        FORBIDDEN,
        of="top",
        level=AccessLevel.GUEST,
        in_group=True,
        gives_back=change_settings("allow_guest_plus_roles_to_pull_packages=true"),
    ),
    "a project is deleted": Case(lambda scene: scene.change("DELETE", f"/projects/{scene.project.id}"), GONE),
    "a group is deleted": Case(lambda scene: scene.change("DELETE", f"/groups/{scene.top.id}"), GONE),
}


async def what_is_told(process: Registry, scene: Scene, token: str | None) -> dict[str, tuple[int, bytes | None]]:
    """Return the status of each read, and the body where it was refused."""
    answers = {path: await process.get(f"{scene.root(process)}/{path}", token=token) for path in READS}
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
    return Scene(here, there, top, team, project, user, token, case)
