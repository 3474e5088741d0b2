"""Users over HTTP: who may add, list, see and block them, with the bodies that GitLab answers."""

import asyncio
import json
from typing import Any

import pytest

from shared.models import UserState, Visibility
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.distributions import build_wheel

UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
FORBIDDEN = b'{"message":"403 Forbidden"}'
NO_USER = b'{"message":"404 User Not Found"}'
UNLISTED = b'{"message":"403 Forbidden - Not authorized to access /api/v4/users"}'
BLOCKED = b'{"message":"403 Forbidden - Your account has been blocked."}'
ADA = {"email": "ada@example.org", "name": "Ada L.", "username": "Ada", "password": "a long enough one"}


async def create(registry: Registry, *, token: str | None = ROOT_TOKEN, **changes: Any) -> Answer:
    return await registry.post_json("/api/v4/users", {**ADA, **changes}, token=token)


def usernames(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [user["username"] for user in answer.json]


def basics(registry: Registry, user_id: int, username: str, name: str, *, state: str = "active") -> dict[str, Any]:
    return {
        "id": user_id,
        "username": username,
        "public_email": "",
        "name": name,
        "state": state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{registry.url}/{username}",
    }


async def test_an_administrator_adds_a_user_and_sees_all_of_it(bare_registry: Registry) -> None:
    answer = await create(bare_registry, admin=True, external="true", skip_confirmation=True, of_another_version=[1])
    user = answer.json
    assert answer.status == 201
    assert user == {
        **basics(bare_registry, user["id"], "Ada", "Ada L."),
        "created_at": user["created_at"],
        "bio": "",
        "bot": False,
        "email": "ada@example.org",
        "commit_email": "ada@example.org",
        "external": True,
        "namespace_id": user["namespace_id"],
        "can_create_group": True,
        "can_create_project": True,
        "two_factor_enabled": False,
        "identities": [],
        "is_admin": True,
    }
    assert (await bare_registry.get(f"/api/v4/users/{user['id']}")).json == user


async def test_a_user_who_is_no_administrator_sees_less(bare_registry: Registry) -> None:
    added = (await create(bare_registry)).json
    assert added["is_admin"] is False
    _, token = await bare_registry.add_user("bob")
    seen = await bare_registry.get(f"/api/v4/users/{added['id']}", token=token)
    own = {"created_at": added["created_at"], "bio": "", "bot": False}
    assert seen.json == basics(bare_registry, added["id"], "Ada", "Ada L.") | own
    listed = await bare_registry.get("/api/v4/users?username=ADA", token=token)
    assert listed.json == [basics(bare_registry, added["id"], "Ada", "Ada L.")]
    assert "is_admin" not in (await bare_registry.get("/api/v4/user", token=token)).json


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v4/users"),
        ("POST", "/api/v4/users/1/block"),
        ("POST", "/api/v4/users/1/unblock"),
        ("POST", "/api/v4/users/999/block"),
        ("POST", "/api/v4/users/x/unblock"),
    ],
)
async def test_only_administrators_change_users(bare_registry: Registry, method: str, path: str) -> None:
    _, token = await bare_registry.add_user("bob")
    nobody = await bare_registry.ask(method, path, token=None)
    somebody = await bare_registry.ask(method, path, token=token)
    assert (nobody.status, nobody.body) == (401, UNAUTHORIZED)
    assert (somebody.status, somebody.body) == (403, FORBIDDEN)


@pytest.mark.parametrize(
    ("changes", "status", "body"),
    [
        ({"email": "BOB@localhost", "username": "bob"}, 409, {"message": "Email has already been taken"}),
        ({"username": "BOB"}, 409, {"message": "Username has already been taken"}),
        ({"username": "bob", "password": "short"}, 409, {"message": "Username has already been taken"}),
        ({"username": "team"}, 400, {"message": {"username": ["has already been taken"]}}),
        ({"password": "short"}, 400, {"message": {"password": ["is too short (minimum is 8 characters)"]}}),
        ({"password": "x" * 129}, 400, {"message": {"password": ["is too long (maximum is 128 characters)"]}}),
        ({"email": "nobody"}, 400, {"message": {"email": ["is invalid"]}}),
        ({"email": None}, 400, {"error": "email is missing"}),
        ({"name": None, "username": None}, 400, {"error": "name is missing, username is missing"}),
        ({"email": ["a@b"], "admin": "maybe"}, 400, {"error": "email is invalid, admin is invalid"}),
        ({"username": "x" * 256}, 400, {"error": "username is too long (maximum is 255 characters)"}),
        ({"username": "a\0b"}, 400, {"error": "username is invalid"}),
        ({"name": " "}, 400, {"error": "name is empty"}),
        (
            {"password": None},
            400,
            {
                "error": "password, reset_password, force_random_password are missing, "
                "at least one parameter must be provided"
            },
        ),
    ],
)
async def test_a_user_is_refused(
    bare_registry: Registry, changes: dict[str, Any], status: int, body: dict[str, Any]
) -> None:
    await bare_registry.add_user("bob")
    await bare_registry.add_project("target")
    answer = await create(bare_registry, **changes)
    assert (answer.status, answer.json) == (status, body)
    assert usernames(await bare_registry.get("/api/v4/users")) == ["bob", "root"]


@pytest.mark.parametrize("username", ["a b", "-a", "a.git", "é", "api", "a/b"])
async def test_a_username_must_do_as_a_path(bare_registry: Registry, username: str) -> None:
    answer = await create(bare_registry, username=username)
    assert answer.status == 400
    assert list(answer.json["message"]) == ["username"]


@pytest.mark.parametrize("instead", ["reset_password", "force_random_password"])
async def test_a_password_need_not_be_thought_of(bare_registry: Registry, instead: str) -> None:
    assert (await bare_registry.post_json("/api/v4/users", {**ADA, "password": None, instead: True})).status == 201


async def test_a_body_that_is_no_object_is_told_so(bare_registry: Registry) -> None:
    for body in ("[", "[1]", "[" * 100_000, '{"name":NaN}', "7"):
        answer = await bare_registry.ask("POST", "/api/v4/users", data=body, Content_Type="application/json")
        assert (answer.status, list(answer.json)) == (400, ["error"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["carol", "bob", "ada", "root"]),
        ("?username=BOB", ["bob"]),
        ("?username=bo", []),
        ("?search=AD", ["ada", "root"]),  # whose name is Administrator
        ("?search=carol@", ["carol"]),
        ("?active=True", ["carol", "ada", "root"]),
        ("?blocked=true", ["bob"]),
        ("?active=1&blocked=1", []),
        ("?active=&search=&external=false", ["carol", "bob", "ada", "root"]),
        ("?external=true", ["carol"]),
        ("?per_page=2&page=2", ["ada", "root"]),
        ("?page=9", []),
    ],
)
async def test_users_are_listed_newest_first(bare_registry: Registry, query: str, found: list[str]) -> None:
    for username in ("ada", "bob", "carol"):
        await bare_registry.add_user(username, is_external=username == "carol")
    bob = (await bare_registry.get("/api/v4/users?username=bob")).json[0]
    await bare_registry.ask("POST", f"/api/v4/users/{bob['id']}/block")
    assert usernames(await bare_registry.get(f"/api/v4/users{query}")) == found


async def test_a_list_says_where_its_next_page_is(bare_registry: Registry) -> None:
    await bare_registry.add_user("ada")
    answer = await bare_registry.get("/api/v4/users?per_page=1&search=a")
    url = f"{bare_registry.url}/api/v4/users?page={{}}&per_page=1&search=a"
    assert answer.headers["link"] == ", ".join(
        f'<{url.format(page)}>; rel="{relation}"' for relation, page in (("next", 2), ("first", 1), ("last", 2))
    )
    assert (answer.headers["x-total"], answer.headers["x-next-page"], answer.headers["x-prev-page"]) == ("2", "2", "")


async def test_only_administrators_search_by_email(bare_registry: Registry) -> None:
    _, token = await bare_registry.add_user("ada")
    assert usernames(await bare_registry.get("/api/v4/users?search=@localhost", token=token)) == []
    assert usernames(await bare_registry.get("/api/v4/users?search=@localhost")) == ["ada", "root"]


async def test_nobody_in_particular_learns_of_a_user_whose_name_is_known(bare_registry: Registry) -> None:
    for query in ("", "?search=root", "?username=", "?active=true"):
        answer = await bare_registry.get(f"/api/v4/users{query}", token=None)
        assert (answer.status, answer.body) == (403, UNLISTED)
    found = await bare_registry.get("/api/v4/users?username=root", token=None)
    assert [list(user) for user in found.json] == [list(basics(bare_registry, 1, "root", ""))]
    assert usernames(await bare_registry.get("/api/v4/users?username=none", token=None)) == []
    alone = await bare_registry.get("/api/v4/users/1", token=None)
    assert (alone.status, alone.body) == (403, b'{"message":"403 Forbidden - Not authorized!"}')
    bad = await bare_registry.get("/api/v4/users?username=root", token="glpat-bad")
    assert (bad.status, bad.body) == (401, UNAUTHORIZED)


async def test_a_token_that_can_only_tell_who_its_user_is_reads_users(bare_registry: Registry) -> None:
    user, _ = await bare_registry.add_user("ada")
    await bare_registry.add_token(user, "glpat-reader", scopes=("read_user",))
    assert usernames(await bare_registry.get("/api/v4/users?username=ada", token="glpat-reader")) == ["ada"]
    assert (await bare_registry.get(f"/api/v4/users/{user.id}", token="glpat-reader")).status == 200


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("active=maybe&blocked=2", "active is invalid, blocked is invalid"),
        ("search=%00", "search is invalid"),
        ("search[]=a", "search is invalid"),
        (f"username={'x' * 256}", "username is too long (maximum is 255 characters)"),
        ("page=x", "page is invalid"),
        ("per_page=0", "per_page has a value not allowed"),
    ],
)
async def test_a_malformed_filter_is_told_so(bare_registry: Registry, query: str, error: str) -> None:
    answer = await bare_registry.get(f"/api/v4/users?{query}")
    assert (answer.status, answer.json) == (400, {"error": error})


@pytest.mark.parametrize("path", ["", "/block", "/unblock", "/personal_access_tokens"])
@pytest.mark.parametrize("user", ["999", "0", "-1", str(2**63), "9" * 5000])
async def test_a_user_who_does_not_exist_is_not_found(bare_registry: Registry, path: str, user: str) -> None:
    body = {"name": "x", "scopes": ["api"]} if path else None
    answer = await bare_registry.ask(
        "POST" if path else "GET",
        f"/api/v4/users/{user}{path}",
        data=json.dumps(body) if body else None,
        Content_Type="application/json",
    )
    assert (answer.status, answer.body) == (404, NO_USER)


@pytest.mark.parametrize("user", ["x", "1.5", "%00", "1e3", "root"])
async def test_a_user_id_is_a_number(bare_registry: Registry, user: str) -> None:
    answer = await bare_registry.get(f"/api/v4/users/{user}")
    assert (answer.status, answer.body) == (400, b'{"error":"id is invalid"}')


async def test_a_blocked_user_is_kept_out_until_unblocked_and_loses_nothing(registry: Registry) -> None:
    project = await registry.add_project("open", visibility=Visibility.PUBLIC)
    user, token = await registry.add_user("ada")

    async def change(verb: str) -> None:
        answer = await registry.ask("POST", f"/api/v4/users/{user.id}/{verb}")
        assert (answer.status, answer.body) == (201, b"true")

    async def answers() -> list[tuple[int, bytes]]:
        own = await registry.get("/api/v4/user", token=token)
        page = await registry.get(f"{registry.pypi_of(project.id)}/simple/", token=token)
        upload = await registry.upload(build_wheel("pkg", "1.0"), token=token, to=project.id)
        return [(answer.status, answer.body if answer.status >= 400 else b"") for answer in (own, page, upload)]

    for _ in range(2):
        await change("block")
        assert await answers() == [(403, BLOCKED)] * 3
    shown = (await registry.get(f"/api/v4/users/{user.id}")).json
    assert shown["state"] == UserState.BLOCKED
    for _ in range(2):
        await change("unblock")
        assert await answers() == [(200, b""), (200, b""), (403, FORBIDDEN)]


async def test_each_change_of_a_user_is_written_down_once(bare_registry: Registry) -> None:
    ada = (await create(bare_registry)).json
    for verb in ("unblock", "block", "block", "unblock"):
        await bare_registry.ask("POST", f"/api/v4/users/{ada['id']}/{verb}")
    await create(bare_registry)
    _, *events = await bare_registry.rows(
        "SELECT action, actor, target FROM audit_events WHERE action LIKE 'user.%' ORDER BY id"
    )
    target = f"user:{ada['id']}"
    assert events == [(f"user.{what}", "user:1", target) for what in ("created", "blocked", "unblocked")]


async def test_of_two_users_of_one_name_at_once_one_is_a_conflict(bare_registry: Registry) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(create(bare_registry)) for _ in range(3)]
    assert sorted(task.result().status for task in asked) == [201, 409, 409]


async def test_administrators_cannot_block_themselves(bare_registry: Registry) -> None:
    root = (await bare_registry.get("/api/v4/user")).json
    answer = await bare_registry.ask("POST", f"/api/v4/users/{root['id']}/block")
    told = b'{"message":"403 Forbidden - The API initiating user cannot be blocked by the API"}'
    assert (answer.status, answer.body) == (403, told)
