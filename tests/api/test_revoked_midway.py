"""Who may do something when it begins and may not when the body has come does not do it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.models import AccessLevel, Project, User, Visibility
from tests.api.raw_http import END, FORM_TYPE, connected, head, part
from tests.api.registry import NOTHING, ROOT_TOKEN, Registry
from tests.distributions import build_wheel

WHEEL = build_wheel("pkg", "1.0")
FORM = part("name", b"pkg") + part("version", b"1.0") + part("content", WHEEL, file_name="pkg-1.0-py3-none-any.whl")
UNAUTHORIZED = (401, b'{"message":"401 Unauthorized"}')
REVOKED = (
    401,
    b'{"error":"invalid_token","error_description":"Token was revoked. You have to re-authorize from the user."}',
)
FORBIDDEN = (403, b'{"message":"403 Forbidden"}')
BLOCKED = (403, b'{"message":"403 Forbidden - Your account has been blocked."}')


@dataclass(frozen=True, slots=True)
class Scene:
    """A maintainer of a private project, whose token is no administrator's."""

    registry: Registry
    project: Project
    user: User
    token: str

    async def change(self, method: str, path: str) -> None:
        """Make a change as the administrator."""
        assert (await self.registry.ask(method, f"/api/v4{path}")).status < 300

    async def end_membership(self) -> None:
        await self.change("DELETE", f"/projects/{self.project.id}/members/{self.user.id}")

    async def lower_level(self) -> None:
        await self.change("PUT", f"/projects/{self.project.id}/members/{self.user.id}?access_level=20")

    async def switch_registry_off(self) -> None:
        await self.change("PUT", f"/projects/{self.project.id}?package_registry_access_level=disabled")

    async def block(self) -> None:
        await self.change("POST", f"/users/{self.user.id}/block")

    async def revoke(self) -> None:
        own = await self.registry.get("/api/v4/personal_access_tokens/self", token=self.token)
        await self.change("DELETE", f"/personal_access_tokens/{own.json['id']}")


async def arrange(registry: Registry, number: int) -> Scene:
    user, token = await registry.add_user(f"somebody-{number}")
    project = await registry.add_project(f"app-{number}", visibility=Visibility.PRIVATE)
    await registry.add_member(project, user, AccessLevel.MAINTAINER)
    return Scene(registry, project, user, token)


async def send_slowly(
    registry: Registry,
    method: str,
    target: str,
    body: bytes,
    *,
    token: str,
    content_type: str,
    meanwhile: Callable[[], Awaitable[None]],
) -> tuple[int, bytes]:
    """Send a request whose body is invited, and is finished only after something else has happened."""
    told = {"Content-Type": content_type, "Content-Length": str(len(body)), "Expect": "100-continue"}
    async with connected(registry) as connection:
        await connection.send(head(method, target, token=token, **told))
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.send(body[:10])
        await meanwhile()
        await connection.send(body[10:])
        return await connection.answer()


async def test_an_upload_is_not_taken_from_who_lost_the_right_while_it_came(bare_registry: Registry) -> None:
    cases: dict[str, tuple[Callable[[Scene], Awaitable[None]], tuple[int, bytes]]] = {
        "the membership ended": (Scene.end_membership, (404, b'{"message":"404 Not Found"}')),
        "the level was lowered": (Scene.lower_level, FORBIDDEN),
        "the registry was switched off": (Scene.switch_registry_off, FORBIDDEN),
        "the user was blocked": (Scene.block, BLOCKED),
        "the token was revoked": (Scene.revoke, REVOKED),
    }
    found = {}
    for number, (name, (takes_away, _)) in enumerate(cases.items()):
        scene = await arrange(bare_registry, number)

        async def meanwhile(scene: Scene = scene, takes_away: Callable[[Scene], Awaitable[None]] = takes_away) -> None:
            await takes_away(scene)

        found[name] = await send_slowly(
            bare_registry,
            "POST",
            f"/api/v4/projects/{scene.project.id}/packages/pypi",
            FORM + END,
            token=scene.token,
            content_type=FORM_TYPE,
            meanwhile=meanwhile,
        )
    assert found == {name: answer for name, (_, answer) in cases.items()}
    assert await bare_registry.traces() == NOTHING


async def test_a_change_is_not_made_by_who_lost_the_right_while_it_came(bare_registry: Registry) -> None:
    not_found = (404, b'{"message":"404 Project Not Found"}')
    pipeline = {"pipeline": {"id": 1}}
    cases = (
        ("PUT", "/projects/{project}", {"visibility": "public"}, not_found),
        ("POST", "/projects/{project}/job_tokens", pipeline, not_found),
        ("PATCH", "/projects/{project}/job_token_scope", {"enabled": False}, not_found),
        ("POST", "/projects/{project}/packages/protection/rules", None, not_found),
    )
    rule = {"package_name_pattern": "*", "package_type": "pypi", "minimum_access_level_for_push": "admin"}
    for number, (method, path, body, expected) in enumerate(cases):
        scene = await arrange(bare_registry, number)
        answer = await send_slowly(
            bare_registry,
            method,
            f"/api/v4{path.format(project=scene.project.id)}",
            json.dumps(rule if body is None else body).encode(),
            token=scene.token,
            content_type="application/json",
            meanwhile=scene.end_membership,
        )
        assert answer == expected, path


async def test_no_token_comes_out_of_a_request_whose_own_was_revoked_while_it_came(bare_registry: Registry) -> None:
    root, second = await bare_registry.get("/api/v4/user"), "glpat-another-of-the-administrator"
    async with bare_registry.backends.store.reading() as rows:
        user = await rows.tenants.user(root.json["id"])
    assert user is not None
    for path in (f"/users/{user.id}/personal_access_tokens", "/personal_access_tokens/1/rotate"):
        await bare_registry.add_token(user, second + path)
        token = second + path
        own = (await bare_registry.get("/api/v4/personal_access_tokens/self", token=token)).json["id"]

        async def revoke(own: int = own) -> None:
            await bare_registry.ask("DELETE", f"/api/v4/personal_access_tokens/{own}")

        answer = await send_slowly(
            bare_registry,
            "POST",
            f"/api/v4{path}",
            json.dumps({"name": "kept", "scopes": ["api"]}).encode(),
            token=token,
            content_type="application/json",
            meanwhile=revoke,
        )
        assert answer == REVOKED, path
    assert (await bare_registry.get("/api/v4/user", token=ROOT_TOKEN)).status == 200
