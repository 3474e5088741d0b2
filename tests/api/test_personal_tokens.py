"""Personal access tokens over HTTP, from their making to their end."""

import asyncio
import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared.models import User
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.rows import nobody_writes
from tests.waiting import eventually

TOKENS = "/api/v4/personal_access_tokens"
UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
FORBIDDEN = b'{"message":"403 Forbidden"}'
NOT_FOUND = b'{"message":"404 Not Found"}'
REVOKED = {
    "error": "invalid_token",
    "error_description": "Token was revoked. You have to re-authorize from the user.",
}
EXPIRED = {
    "error": "invalid_token",
    "error_description": "Token is expired. You can either do re-authorization or token refresh.",
}
KEYS = ["id", "name", "revoked", "expired", "granular", "created_at", "description", "scopes", "user_id"]
KEYS += ["last_used_at", "active", "expires_at"]


def today() -> date:
    return datetime.now(UTC).date()


async def create(registry: Registry, user: User, *, token: str | None = ROOT_TOKEN, **changes: Any) -> Answer:
    body = {"name": "laptop", "scopes": ["api"], **changes}
    return await registry.post_json(f"/api/v4/users/{user.id}/personal_access_tokens", body, token=token)


async def own(registry: Registry, token: str) -> dict[str, Any]:
    answer = await registry.get(f"{TOKENS}/self", token=token)
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


async def test_an_administrator_makes_a_token_whose_secret_is_told_once(bare_registry: Registry) -> None:
    ada, _ = await bare_registry.add_user("ada")
    end = today() + timedelta(days=9)
    answer = await create(
        bare_registry,
        ada,
        scopes=["read_api", "api", "api"],
        expires_at=end.isoformat(),
        description="of the train\nto work",
    )
    made = answer.json
    assert answer.status == 201
    assert list(made) == [*KEYS, "token"]
    assert made | {"id": 0, "created_at": "", "token": ""} == {
        "id": 0,
        "name": "laptop",
        "revoked": False,
        "expired": False,
        "granular": False,
        "created_at": "",
        "description": "of the train\nto work",
        "scopes": ["read_api", "api"],
        "user_id": ada.id,
        "last_used_at": None,
        "active": True,
        "expires_at": end.isoformat(),
        "token": "",
    }
    assert re.fullmatch(r"glpat-[A-Za-z0-9_-]{27,}", made["token"])  # 27 characters of six bits are 162
    assert (await bare_registry.get("/api/v4/user", token=made["token"])).json["username"] == "ada"
    shown = (await bare_registry.get(f"{TOKENS}/{made['id']}")).json
    assert list(shown) == KEYS
    assert shown["last_used_at"] is not None


async def test_nothing_but_the_digest_of_a_secret_is_kept(bare_registry: Registry) -> None:
    ada, _ = await bare_registry.add_user("ada")
    made = (await create(bare_registry, ada)).json
    (kept,) = await bare_registry.rows("SELECT * FROM access_tokens WHERE id = :id", id=made["id"])
    (*_, told) = await bare_registry.rows("SELECT action, actor, target, details FROM audit_events ORDER BY id")
    assert hashlib.sha256(made["token"].encode()).hexdigest() in kept
    assert made["token"] not in str(kept) + str(told)
    assert told[:3] == ("access_token.created", "user:1", f"access_token:{made['id']}")


async def test_a_token_without_an_end_lasts_a_year(bare_registry: Registry) -> None:
    ada, _ = await bare_registry.add_user("ada")
    for nothing in ({}, {"expires_at": None}, {"expires_at": ""}):
        made = (await create(bare_registry, ada, **nothing)).json
        assert made["expires_at"] == (today() + timedelta(days=365)).isoformat()


@pytest.mark.parametrize(("days", "status"), [(-1, 401), (0, 401), (1, 200)])
async def test_a_token_is_good_until_its_day_begins(bare_registry: Registry, days: int, status: int) -> None:
    ada, _ = await bare_registry.add_user("ada")
    made = (await create(bare_registry, ada, expires_at=(today() + timedelta(days=days)).isoformat())).json
    assert (made["expired"], made["active"]) == (days < 1, days >= 1)
    used = await bare_registry.get("/api/v4/user", token=made["token"])
    assert used.status == status
    if status == 401:
        assert used.json == EXPIRED


async def test_only_administrators_make_tokens(bare_registry: Registry) -> None:
    ada, token = await bare_registry.add_user("ada")
    somebody = await create(bare_registry, ada, token=token)
    nobody = await create(bare_registry, ada, token=None)
    assert (somebody.status, somebody.body) == (403, FORBIDDEN)
    assert (nobody.status, nobody.body) == (401, UNAUTHORIZED)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": None, "scopes": None}, "name is missing, scopes is missing"),
        ({"scopes": ["api", "fly"]}, "scopes does not have a valid value"),
        ({"scopes": []}, "scopes is empty"),
        ({"scopes": ""}, "scopes is empty"),
        ({"scopes": [1]}, "scopes is invalid"),
        ({"scopes": {"api": True}}, "scopes is invalid"),
        ({"scopes": 7}, "scopes is invalid"),
        ({"expires_at": "tomorrow"}, "expires_at is invalid"),
        ({"expires_at": "2026-02-30"}, "expires_at is invalid"),
        ({"expires_at": 20270101}, "expires_at is invalid"),
        ({"name": "x" * 256}, "name is too long (maximum is 255 characters)"),
        ({"description": "x" * 256}, "description is too long (maximum is 255 characters)"),
        ({"name": "a\0b"}, "name is invalid"),
        ({"name": ["a"], "scopes": ["fly"]}, "name is invalid, scopes does not have a valid value"),
    ],
)
async def test_a_malformed_token_is_refused(bare_registry: Registry, changes: dict[str, Any], error: str) -> None:
    ada, _ = await bare_registry.add_user("ada")
    answer = await create(bare_registry, ada, **changes)
    assert (answer.status, answer.json) == (400, {"error": error})


@pytest.mark.parametrize("scopes", ["scopes[]=api&scopes[]=read_user", "scopes=api,%20read_user"])
async def test_scopes_may_come_in_a_form(bare_registry: Registry, scopes: str) -> None:
    ada, _ = await bare_registry.add_user("ada")
    answer = await bare_registry.ask(
        "POST",
        f"/api/v4/users/{ada.id}/personal_access_tokens",
        data=f"name=laptop&{scopes}",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert (answer.status, answer.json["scopes"]) == (201, ["api", "read_user"])


async def test_users_list_their_own_tokens_and_administrators_everybodys(bare_registry: Registry) -> None:
    ada, ada_token = await bare_registry.add_user("ada")
    bob, bob_token = await bare_registry.add_user("bob")

    async def names(query: str, token: str) -> list[str]:
        answer = await bare_registry.get(f"{TOKENS}{query}", token=token)
        assert answer.status == 200, answer.body
        assert all(list(one) == KEYS for one in answer.json)
        return [one["name"] for one in answer.json]

    root = "root token of the configuration"
    assert await names("", ROOT_TOKEN) == [root, ada_token, bob_token]
    assert await names(f"?user_id={bob.id}", ROOT_TOKEN) == [bob_token]
    assert await names("?per_page=1&page=2", ROOT_TOKEN) == [ada_token]
    assert await names("", ada_token) == [ada_token]
    assert await names(f"?user_id={ada.id}", ada_token) == [ada_token]
    assert await names("?user_id=", ada_token) == [ada_token]
    for query in (f"?user_id={bob.id}", "?user_id=999"):
        refused = await bare_registry.get(f"{TOKENS}{query}", token=ada_token)
        assert (refused.status, refused.body) == (401, UNAUTHORIZED)
    for query in ("?user_id=999", "?user_id="):
        missing = await bare_registry.get(f"{TOKENS}{query}")
        assert (missing.status, missing.body) == (404, NOT_FOUND)
    nobody = await bare_registry.get(TOKENS, token=None)
    assert (nobody.status, nobody.body) == (401, UNAUTHORIZED)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["good", "revoked", "expired"]),
        ("&revoked=True", ["revoked"]),
        ("&revoked=false", ["good", "expired"]),
        ("&state=active", ["good"]),
        ("&state=inactive", ["revoked", "expired"]),
        ("&state=inactive&revoked=false", ["expired"]),
        ("&search=E", ["revoked", "expired"]),
        ("&sort=name_asc", ["expired", "good", "revoked"]),
        ("&sort=created_desc", ["expired", "revoked", "good"]),
        ("&expires_before=2001-01-01", ["expired"]),
        ("&expires_after=2001-01-02", ["good", "revoked"]),
        ("&created_before=2001-01-01", []),
        ("&created_after=2001-01-01T00:00:00Z&created_before=2101-01-01", ["good", "revoked", "expired"]),
        ("&last_used_after=2001-01-01T00:00:00%2B02:00", []),
    ],
)
async def test_tokens_are_filtered(bare_registry: Registry, query: str, names: list[str]) -> None:
    ada, _ = await bare_registry.add_user("nobody")
    other = (await bare_registry.get("/api/v4/users?username=root")).json[0]
    for name, end in (("good", None), ("revoked", None), ("expired", "2001-01-01")):
        made = (await create(bare_registry, ada, name=name, expires_at=end)).json
        if name == "revoked":
            await bare_registry.ask("DELETE", f"{TOKENS}/{made['id']}")
    found = await bare_registry.get(f"{TOKENS}?user_id={ada.id}{query}")
    assert found.status == 200, found.body
    assert [one["name"] for one in found.json if not one["name"].startswith("glpat")] == names
    assert other["id"] not in {one["user_id"] for one in found.json}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("state=asleep", "state does not have a valid value"),
        ("state=", "state does not have a valid value"),
        ("sort=", "sort does not have a valid value"),
        ("sort=random", "sort does not have a valid value"),
        ("revoked=maybe&user_id=x", "user_id is invalid, revoked is invalid"),
        (f"user_id={2**63}", "user_id is invalid"),
        ("created_before=yesterday", "created_before is invalid"),
        ("created_after=0001-01-01T00:00:00%2B14:00", "created_after is invalid"),
        ("expires_before=2026-13-01", "expires_before is invalid"),
        ("search=%00", "search is invalid"),
        (f"search={'x' * 256}", "search is too long (maximum is 255 characters)"),
    ],
)
async def test_a_malformed_filter_of_tokens_is_told_so(bare_registry: Registry, query: str, error: str) -> None:
    answer = await bare_registry.get(f"{TOKENS}?{query}")
    assert (answer.status, answer.json) == (400, {"error": error})


async def test_a_token_is_shown_to_its_user_and_to_administrators_only(bare_registry: Registry) -> None:
    _, ada_token = await bare_registry.add_user("ada")
    _, bob_token = await bare_registry.add_user("bob")
    token = await own(bare_registry, ada_token)
    url = f"{TOKENS}/{token['id']}"
    assert (await bare_registry.get(url, token=ada_token)).json["id"] == token["id"]
    assert (await bare_registry.get(url)).json["name"] == ada_token
    for path in (url, f"{TOKENS}/999", f"{TOKENS}/0"):
        answer = await bare_registry.get(path, token=bob_token)
        assert (answer.status, answer.body) == (401, UNAUTHORIZED)
    for path in (f"{TOKENS}/999", f"{TOKENS}/{2**63}", f"{TOKENS}/{'9' * 5000}"):
        answer = await bare_registry.get(path)
        assert (answer.status, answer.body) == (404, NOT_FOUND)
    answer = await bare_registry.get(f"{TOKENS}/x")
    assert (answer.status, answer.body) == (400, b'{"error":"id is invalid"}')


@pytest.mark.parametrize("scope", ["api", "read_api", "read_user", "read_repository"])
async def test_any_token_can_look_at_itself_and_end_itself(bare_registry: Registry, scope: str) -> None:
    ada, _ = await bare_registry.add_user("ada")
    made = (await create(bare_registry, ada, scopes=[scope])).json
    assert (await own(bare_registry, made["token"]))["scopes"] == [scope]
    ended = await bare_registry.ask("DELETE", f"{TOKENS}/self", token=made["token"])
    assert (ended.status, ended.body) == (204, b"")
    after = await bare_registry.get(f"{TOKENS}/self", token=made["token"])
    assert (after.status, after.json) == (401, REVOKED)


async def test_itself_is_nothing_to_nobody(bare_registry: Registry) -> None:
    for method, path in (("GET", "self"), ("DELETE", "self"), ("POST", "self/rotate")):
        answer = await bare_registry.ask(method, f"{TOKENS}/{path}", token=None)
        assert (answer.status, answer.body) == (401, UNAUTHORIZED)


async def test_a_revoked_token_is_refused_on_the_very_next_request(bare_registry: Registry) -> None:
    _, ada_token = await bare_registry.add_user("ada")
    _, bob_token = await bare_registry.add_user("bob")
    url = f"{TOKENS}/{(await own(bare_registry, ada_token))['id']}"
    refused = await bare_registry.ask("DELETE", url, token=bob_token)
    assert (refused.status, refused.body) == (400, b'{"message":"400 Bad request - Not permitted to revoke"}')
    assert (await bare_registry.get("/api/v4/user", token=ada_token)).status == 200
    for _ in range(2):
        ended = await bare_registry.ask("DELETE", url)
        assert (ended.status, ended.body) == (204, b"")
    after = await bare_registry.get("/api/v4/user", token=ada_token)
    assert (after.status, after.json) == (401, REVOKED)
    shown = (await bare_registry.get(url)).json
    assert (shown["revoked"], shown["expired"], shown["active"]) == (True, False, False)
    for token in (ROOT_TOKEN, bob_token):
        missing = await bare_registry.ask("DELETE", f"{TOKENS}/999", token=token)
        assert (missing.status, missing.body) == (404, NOT_FOUND)


async def test_a_rotated_token_is_another_one_and_the_old_one_is_refused(bare_registry: Registry) -> None:
    ada, _ = await bare_registry.add_user("ada")
    old = (await create(bare_registry, ada, scopes=["api", "read_user"], description="of the train")).json
    answer = await bare_registry.post_json(f"{TOKENS}/{old['id']}/rotate", {}, token=old["token"])
    new = answer.json
    assert (answer.status, list(new)) == (200, [*KEYS, "token"])
    assert new["id"] > old["id"]
    assert new["token"].startswith("glpat-")
    assert new["token"] != old["token"]
    same = ("name", "description", "scopes", "user_id", "revoked", "expired", "active")
    assert [new[key] for key in same] == [old[key] for key in same]
    assert new["expires_at"] == (today() + timedelta(days=7)).isoformat()
    before = await bare_registry.get("/api/v4/user", token=old["token"])
    assert (before.status, before.json) == (401, REVOKED)
    assert (await bare_registry.get("/api/v4/user", token=new["token"])).status == 200
    again = await bare_registry.post_json(f"{TOKENS}/{old['id']}/rotate", {})
    assert (again.status, again.body) == (400, b'{"message":"400 Bad request - Token already revoked"}')


async def test_of_two_who_rotate_a_token_at_once_one_is_refused(bare_registry: Registry) -> None:
    ada, _ = await bare_registry.add_user("ada")
    old = (await create(bare_registry, ada)).json
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(bare_registry.post_json(f"{TOKENS}/{old['id']}/rotate", {})) for _ in range(4)]
    assert sorted(task.result().status for task in asked) == [200, 400, 400, 400]
    assert len((await bare_registry.get(f"{TOKENS}?user_id={ada.id}&search=laptop&state=active")).json) == 1


async def test_an_expired_token_is_not_rotated(bare_registry: Registry) -> None:
    ada, _ = await bare_registry.add_user("ada")
    old = (await create(bare_registry, ada, expires_at="2001-01-01")).json
    answer = await bare_registry.post_json(f"{TOKENS}/{old['id']}/rotate", {})
    assert (answer.status, answer.body) == (400, b'{"message":"400 Bad request - Token already expired"}')


async def test_a_token_rotates_itself_until_the_day_that_is_asked_for(bare_registry: Registry) -> None:
    ada, _ = await bare_registry.add_user("ada")
    old = (await create(bare_registry, ada, scopes=["self_rotate"])).json
    end = (today() + timedelta(days=30)).isoformat()
    answer = await bare_registry.post_json(f"{TOKENS}/self/rotate", {"expires_at": end}, token=old["token"])
    assert (answer.status, answer.json["expires_at"], answer.json["scopes"]) == (200, end, ["self_rotate"])
    by_id = await bare_registry.post_json(f"{TOKENS}/{answer.json['id']}/rotate", {}, token=answer.json["token"])
    assert (by_id.status, by_id.json["error"], by_id.json["scope"]) == (403, "insufficient_scope", "api read_api")
    bad = await bare_registry.post_json(f"{TOKENS}/self/rotate", {"expires_at": "x"}, token=answer.json["token"])
    assert (bad.status, bad.body) == (400, b'{"error":"expires_at is invalid"}')


async def test_nobody_rotates_the_tokens_of_others_but_administrators(bare_registry: Registry) -> None:
    _, ada_token = await bare_registry.add_user("ada")
    _, bob_token = await bare_registry.add_user("bob")
    url = f"{TOKENS}/{(await own(bare_registry, ada_token))['id']}/rotate"
    for path in (url, f"{TOKENS}/999/rotate"):
        refused = await bare_registry.ask("POST", path, token=bob_token)
        assert (refused.status, refused.body) == (401, UNAUTHORIZED)
    missing = await bare_registry.ask("POST", f"{TOKENS}/999/rotate")
    assert (missing.status, missing.body) == (404, NOT_FOUND)
    rotated = await bare_registry.ask("POST", url)
    assert rotated.status == 200
    assert (await bare_registry.get("/api/v4/user", token=rotated.json["token"])).json["username"] == "ada"


async def test_a_token_that_can_only_read_changes_no_token(bare_registry: Registry) -> None:
    ada, _ = await bare_registry.add_user("ada")
    reader = (await create(bare_registry, ada, scopes=["read_api"])).json
    assert (await bare_registry.get(f"{TOKENS}/{reader['id']}", token=reader["token"])).status == 200
    for method, path in (("DELETE", ""), ("POST", "/rotate")):
        refused = await bare_registry.ask(method, f"{TOKENS}/{reader['id']}{path}", token=reader["token"])
        assert (refused.status, refused.json["error"]) == (403, "insufficient_scope")


async def test_a_request_does_not_wait_for_its_tokens_use_to_be_noted(bare_registry: Registry) -> None:
    registry = bare_registry
    _, token = await registry.add_user("somebody")
    async with nobody_writes(registry.settings.database_url), asyncio.timeout(9):  # A writer waits ten.
        assert (await registry.get("/api/v4/user", token=token)).status == 200

    async def is_noted() -> bool:
        tokens = (await registry.get("/api/v4/personal_access_tokens?search=somebody")).json
        return [one["last_used_at"] is not None for one in tokens] == [True]

    await eventually(is_noted, what="the use is noted when the lock is gone", timeout_seconds=60)
