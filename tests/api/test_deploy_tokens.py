"""Deploy tokens over HTTP: made, listed, shown and revoked by those who may, for projects and for groups alike."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import Forbidden, NotFound
from shared.models import AccessLevel, Namespace, Project, TokenId, User
from shared.principals import DEPLOY_TOKEN_SCOPES, SignedIn
from shared.usecases.deploy_tokens import CreateDeployToken, NewDeployToken, RevokeDeployToken
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.api.test_groups import add_group, audit_actions, join, send

UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
FORBIDDEN = b'{"message":"403 Forbidden"}'
NO_TOKEN = b'{"message":"404 Not found"}'
KEYS = ["id", "name", "username", "expires_at", "scopes", "revoked", "expired"]
YEAR = datetime.now(UTC).year + 1
USERNAME = "can contain only letters, digits, '_', '-', '+', and '.'"


@dataclass(frozen=True, slots=True)
class Scene:
    """A project or a group, and where its deploy tokens are."""

    registry: Registry
    source: Project | Namespace
    kind: str

    @property
    def url(self) -> str:
        return f"/api/v4/{self.kind}/{self.source.id}/deploy_tokens"

    @property
    def not_found(self) -> bytes:
        return b'{"message":"404 %s Not Found"}' % (b"Project" if self.kind == "projects" else b"Group")

    async def create(self, *, token: str | None = ROOT_TOKEN, **changes: Any) -> Answer:
        body = {"name": "ci", "scopes": ["read_package_registry"], **changes}
        return await send(self.registry, "POST", self.url, body, token=token)

    async def names(self, query: str = "", *, token: str | None = ROOT_TOKEN) -> list[str]:
        answer = await self.registry.get(f"{self.url}{query}", token=token)
        assert answer.status == 200, answer.body
        assert all(list(one) == KEYS for one in answer.json)
        return [one["name"] for one in answer.json]


@pytest.fixture(params=["projects", "groups"])
async def scene(bare_registry: Registry, request: pytest.FixtureRequest) -> Scene:
    """Give a private project in the group `team`, which everybody can see, or a private group `lab`."""
    if request.param == "projects":
        return Scene(bare_registry, await bare_registry.add_project("app"), "projects")
    return Scene(bare_registry, await add_group(bare_registry, "lab"), "groups")


async def add_somebody(scene: Scene, name: str, level: AccessLevel | None) -> tuple[User, str]:
    user, token = await scene.registry.add_user(name)
    if level is not None:
        async with scene.registry.backends.store.writing() as rows:
            if isinstance(scene.source, Project):
                await rows.tenants.add_project_member(scene.source, user.id, level=level, expires_at=None)
            else:
                await rows.tenants.add_namespace_member(scene.source, user.id, level=level, expires_at=None)
    return user, token


async def test_a_token_is_made_whose_secret_is_told_once(scene: Scene) -> None:
    answer = await scene.create(
        scopes=["write_package_registry", "read_repository", "write_package_registry"],
        expires_at=f"{YEAR}-02-14T01:30:00+01:30",
        username="ci+robot_1.0-x",
    )
    made = answer.json
    assert answer.status == 201
    assert list(made) == [*KEYS, "token"]
    told = {
        "id": made["id"],
        "name": "ci",
        "username": "ci+robot_1.0-x",
        "expires_at": f"{YEAR}-02-14T00:00:00.000Z",
        "scopes": ["read_repository", "write_package_registry"],
        "revoked": False,
        "expired": False,
    }
    assert made == {**told, "token": made["token"]}
    assert re.fullmatch(r"gldt-[A-Za-z0-9_-]{32}", made["token"])  # 32 characters of six bits are 192
    assert (await scene.registry.get(f"{scene.url}/{made['id']}")).json == told
    assert (await scene.registry.get(scene.url)).json == [told]


async def test_nothing_but_the_digest_of_a_secret_is_kept(scene: Scene) -> None:
    made = (await scene.create()).json
    (kept,) = await scene.registry.rows("SELECT * FROM access_tokens WHERE id = :id", id=made["id"])
    (*_, told) = await scene.registry.rows(
        "SELECT action, actor, target, project_id, namespace_id, details FROM audit_events ORDER BY id"
    )
    assert hashlib.sha256(made["token"].encode()).hexdigest() in kept
    assert made["token"] not in str(kept) + str(told)
    source = (scene.source.id, None) if scene.kind == "projects" else (None, scene.source.id)
    assert told[:5] == ("deploy_token.created", "user:1", f"deploy_token:{made['id']}", *source)


async def test_a_token_with_nothing_but_a_name_and_a_scope_is_called_by_its_id_and_never_ends(scene: Scene) -> None:
    for nothing in ({}, {"username": None, "expires_at": None}, {"username": "", "expires_at": ""}):
        made = (await scene.create(**nothing)).json
        assert (made["username"], made["expires_at"]) == (f"gitlab+deploy-token-{made['id']}", None)


async def test_the_end_of_a_token_is_an_instant(scene: Scene) -> None:
    cases = [
        (f"{YEAR}-12-31", f"{YEAR}-12-31T00:00:00.000Z", False),
        (f"{YEAR}-12-31T12:30:00", f"{YEAR}-12-31T12:30:00.000Z", False),
        (f"{YEAR}-12-31T12:30:00.123456Z", f"{YEAR}-12-31T12:30:00.123Z", False),
        ("2001-01-01", "2001-01-01T00:00:00.000Z", True),
    ]
    for sent, told, expired in cases:
        made = (await scene.create(expires_at=sent)).json
        assert (made["expires_at"], made["expired"], made["revoked"]) == (told, expired, False)
    assert await scene.names() == ["ci"] * len(cases)


async def test_scopes_may_come_in_a_form(scene: Scene) -> None:
    for scopes in (
        "scopes=read_package_registry,write_package_registry",
        "scopes=write_package_registry,%20read_package_registry",
        "scopes[]=write_package_registry&scopes[]=read_package_registry",
    ):
        answer = await scene.registry.ask(
            "POST", scene.url, data=f"name=ci&{scopes}", Content_Type="application/x-www-form-urlencoded"
        )
        assert (answer.status, answer.json["scopes"]) == (201, ["read_package_registry", "write_package_registry"])


async def test_every_scope_of_gitlab_can_be_given(scene: Scene) -> None:
    made = await scene.create(scopes=list(reversed(DEPLOY_TOKEN_SCOPES)))
    assert (made.status, made.json["scopes"]) == (201, list(DEPLOY_TOKEN_SCOPES))


async def test_a_malformed_token_is_refused_and_leaves_nothing(bare_registry: Registry) -> None:
    scene = Scene(bare_registry, await bare_registry.add_project("app"), "projects")
    cases: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"name": None, "scopes": None}, {"error": "name is missing, scopes is missing"}),
        ({"name": ""}, {"error": "name is empty"}),
        ({"name": "x" * 256}, {"error": "name is too long (maximum is 255 characters)"}),
        ({"name": "a\0b"}, {"error": "name is invalid"}),
        ({"name": 7}, {"error": "name is invalid"}),
        ({"scopes": ["read_package_registry", "api"]}, {"error": "scopes does not have a valid value"}),
        ({"scopes": "read_package_registry,fly"}, {"error": "scopes does not have a valid value"}),
        ({"scopes": [1]}, {"error": "scopes is invalid"}),
        ({"scopes": {"read_package_registry": True}}, {"error": "scopes is invalid"}),
        ({"scopes": []}, {"message": "Scopes can't be blank"}),
        ({"scopes": ""}, {"message": "Scopes can't be blank"}),
        ({"expires_at": "tomorrow"}, {"error": "expires_at is invalid"}),
        ({"expires_at": "2026-02-30"}, {"error": "expires_at is invalid"}),
        ({"expires_at": 20270101}, {"error": "expires_at is invalid"}),
        ({"username": "x" * 256}, {"error": "username is too long (maximum is 255 characters)"}),
        ({"username": "a\nb"}, {"error": "username is invalid"}),
        ({"username": "a:b"}, {"message": f"Username {USERNAME}"}),
        ({"username": "ünï"}, {"message": f"Username {USERNAME}"}),
        ({"username": "a b", "scopes": []}, {"message": f"Scopes can't be blank and Username {USERNAME}"}),
        ({"name": ["a"], "scopes": ["fly"]}, {"error": "name is invalid, scopes does not have a valid value"}),
    ]
    for changes, body in cases:
        answer = await scene.create(**changes)
        assert (answer.status, answer.json) == (400, body), changes
    assert await scene.names() == []
    assert "deploy_token.created" not in await audit_actions(bare_registry)


async def test_who_may_do_what_with_the_tokens_of_a_project_or_group(scene: Scene) -> None:
    kept = (await scene.create(name="kept")).json["id"]
    tokens: dict[str, str] = {"administrator": ROOT_TOKEN}
    for level in (None, AccessLevel.GUEST, AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER):
        name = level.name.lower() if level else "stranger"
        _, tokens[name] = await add_somebody(scene, name, level)
    reader, _ = await add_somebody(scene, "reader", AccessLevel.OWNER)
    await scene.registry.add_token(reader, "glpat-can-only-read", scopes=("read_api",))
    of_maintainer = (201, 200, 200, 204) if scene.kind == "projects" else (403, 200, 200, 403)
    expected = {
        "stranger": (404, 404, 404, 404),
        "guest": (403, 403, 403, 403),
        "developer": (403, 403, 403, 403),
        "maintainer": of_maintainer,
        "owner": (201, 200, 200, 204),
        "administrator": (201, 200, 200, 204),
    }
    bodies = {403: FORBIDDEN, 404: scene.not_found, 401: UNAUTHORIZED}
    for name, statuses in expected.items():
        doomed = (await scene.create(name="doomed")).json["id"]
        answers = (
            await scene.create(token=tokens[name]),
            await scene.registry.get(scene.url, token=tokens[name]),
            await scene.registry.get(f"{scene.url}/{kept}", token=tokens[name]),
            await scene.registry.ask("DELETE", f"{scene.url}/{doomed}", token=tokens[name]),
        )
        assert tuple(answer.status for answer in answers) == statuses, name
        assert all(answer.body == bodies[answer.status] for answer in answers if answer.status in bodies), name
        # Who may not is told so before anything is said of what was sent, or of what there is.
        if statuses[0] != 201:
            bad = await scene.create(token=tokens[name], scopes=["fly"])
            assert (bad.status, bad.body) == (statuses[0], bodies[statuses[0]])
        if statuses[3] != 204:
            missing = await scene.registry.ask("DELETE", f"{scene.url}/x", token=tokens[name])
            assert (missing.status, missing.body) == (statuses[3], bodies[statuses[3]])
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{kept}"), ("DELETE", f"/{kept}")):
        for token in (None, "glpat-nobody"):
            answer = await scene.registry.ask(method, scene.url + path, token=token)
            assert (answer.status, answer.body) == (401, UNAUTHORIZED)
        narrow = await scene.registry.ask(method, scene.url + path, token="glpat-can-only-read")
        assert narrow.status == (200 if method == "GET" else 403)
    assert (await scene.registry.get(f"{scene.url}/{kept}")).status == 200


async def test_maintainers_and_owners_of_a_group_have_their_rights_below_it(bare_registry: Registry) -> None:
    top = await add_group(bare_registry, "top")
    sub = await add_group(bare_registry, "sub", parent=top)
    maintainer = await join(bare_registry, top, "maintainer", AccessLevel.MAINTAINER)
    owner = await join(bare_registry, top, "owner", AccessLevel.OWNER)
    below = Scene(bare_registry, sub, "groups")
    assert (await below.create(token=maintainer)).status == 403
    assert (await below.create(token=owner)).status == 201
    assert await below.names(token=maintainer) == ["ci"]
    # Those of the group above are not those of this one.
    assert await Scene(bare_registry, top, "groups").names() == []


async def test_what_is_not_there_has_no_tokens(bare_registry: Registry) -> None:
    """A user's own namespace is no group, neither by path nor by number."""
    for path in ("projects/99", "projects/app", "groups/99", "groups/root", "groups/1"):
        word = b"Project" if path.startswith("projects") else b"Group"
        answer = await bare_registry.get(f"/api/v4/{path}/deploy_tokens")
        assert (answer.status, answer.body) == (404, b'{"message":"404 %s Not Found"}' % word)


async def test_a_source_is_named_by_its_path_too(scene: Scene) -> None:
    made = (await scene.create()).json
    path = scene.source.full_path.replace("/", "%2F")
    url = f"/api/v4/{scene.kind}/{path}/deploy_tokens"
    assert [one["id"] for one in (await scene.registry.get(f"{url}/")).json] == [made["id"]]
    assert (await scene.registry.get(f"{url}/{made['id']}")).json["id"] == made["id"]
    assert (await scene.registry.ask("DELETE", f"{url}/{made['id']}")).status == 204


async def test_a_list_of_tokens_is_paged_and_its_links_carry_all_parameters(scene: Scene) -> None:
    for name in ("c", "a", "b"):
        await scene.create(name=name)
    assert await scene.names() == ["c", "a", "b"]
    answer = await scene.registry.get(f"{scene.url}?per_page=2&active=True")
    assert [one["name"] for one in answer.json] == ["c", "a"]
    paging = {name: value for name, value in answer.headers.items() if name.startswith("x-") and "page" in name}
    assert paging == {
        "x-per-page": "2",
        "x-page": "1",
        "x-next-page": "2",
        "x-prev-page": "",
        "x-total-pages": "2",
    }
    assert answer.headers["x-total"] == "3"
    url = f"{scene.registry.url}{scene.url}?active=True&id={scene.source.id}"
    assert answer.headers["link"] == ", ".join(
        f'<{url}&page={page}&per_page=2>; rel="{relation}"'
        for page, relation in ((2, "next"), (1, "first"), (2, "last"))
    )
    assert await scene.names("?per_page=2&page=2") == ["b"]
    assert await scene.names("?per_page=2&page=3") == []
    bad = await scene.registry.get(f"{scene.url}?per_page=0")
    assert (bad.status, bad.json) == (400, {"error": "per_page has a value not allowed"})


async def test_expired_tokens_are_listed_unless_only_active_ones_are_wanted(scene: Scene) -> None:
    await scene.create(name="endless")
    await scene.create(name="past", expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    await scene.create(name="later", expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    for query in ("", "?active=", "?active=false", "?active=False", "?active=0"):
        assert await scene.names(query) == ["endless", "past", "later"]
    for query in ("?active=true", "?active=True", "?active=1"):
        assert await scene.names(query) == ["endless", "later"]
    bad = await scene.registry.get(f"{scene.url}?active=perhaps")
    assert (bad.status, bad.json) == (400, {"error": "active is invalid"})
    assert [one["expired"] for one in (await scene.registry.get(scene.url)).json] == [False, True, False]


async def test_a_revoked_token_is_gone_and_remembered(scene: Scene) -> None:
    kept, made = (await scene.create(name="kept")).json, (await scene.create()).json
    answer = await scene.registry.ask("DELETE", f"{scene.url}/{made['id']}")
    assert (answer.status, answer.body) == (204, b"")
    assert await scene.names() == ["kept"]
    for method in ("GET", "DELETE"):
        gone = await scene.registry.ask(method, f"{scene.url}/{made['id']}")
        assert (gone.status, gone.body) == (404, NO_TOKEN)
    revoked = await scene.registry.rows("SELECT id FROM access_tokens WHERE revoked_at IS NOT NULL")
    assert revoked == [(made["id"],)]
    assert (await audit_actions(scene.registry))[-3:] == [
        "deploy_token.created",
        "deploy_token.created",
        "deploy_token.revoked",
    ]
    assert (await scene.registry.get(f"{scene.url}/{kept['id']}")).status == 200


async def test_a_token_is_revoked_once_by_however_many(scene: Scene) -> None:
    made = (await scene.create()).json
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(scene.registry.ask("DELETE", f"{scene.url}/{made['id']}", token=ROOT_TOKEN))
            for _ in range(8)
        ]
    assert sorted(task.result().status for task in tasks) == [204] + 7 * [404]
    assert (await audit_actions(scene.registry)).count("deploy_token.revoked") == 1


async def test_a_token_is_found_with_its_own_source_only(scene: Scene) -> None:
    other = Scene(scene.registry, await scene.registry.add_project("other"), "projects")
    made, of_other = (await scene.create()).json, (await other.create()).json
    own = (await scene.registry.get("/api/v4/personal_access_tokens/self")).json
    for method in ("GET", "DELETE"):
        for token_id in (of_other["id"], own["id"], 999, 0, -1, "9" * 30):
            missing = await scene.registry.ask(method, f"{scene.url}/{token_id}")
            assert (missing.status, missing.body) == (404, NO_TOKEN), token_id
        bad = await scene.registry.ask(method, f"{scene.url}/{made['id']}abc")
        assert (bad.status, bad.json) == (400, {"error": "token_id is invalid"})
    assert await scene.names() == await other.names() == ["ci"]


async def test_administrators_list_the_tokens_of_all(bare_registry: Registry) -> None:
    url = "/api/v4/deploy_tokens"
    project = Scene(bare_registry, await bare_registry.add_project("app"), "projects")
    group = Scene(bare_registry, await add_group(bare_registry, "lab"), "groups")
    for scene, name in ((project, "a"), (group, "b"), (project, "c")):
        await scene.create(name=name)
    past = await group.create(name="past", expires_at="2001-01-01")
    revoked = (await project.create(name="revoked")).json
    await bare_registry.ask("DELETE", f"{project.url}/{revoked['id']}")

    async def names(query: str = "") -> list[str]:
        answer = await bare_registry.get(f"{url}{query}")
        assert answer.status == 200
        assert all(list(one) == KEYS for one in answer.json)
        return [one["name"] for one in answer.json]

    assert await names() == ["a", "b", "c", "past"]
    assert await names("?active=True") == ["a", "b", "c"]
    answer = await bare_registry.get(f"{url}?per_page=3&page=2")
    assert answer.json == [{key: value for key, value in past.json.items() if key != "token"}]
    assert (answer.headers["x-total"], answer.headers["x-prev-page"]) == ("4", "1")
    await bare_registry.ask("DELETE", f"/api/v4/projects/{project.source.id}")
    assert await names() == ["b", "past"]
    _, token = await bare_registry.add_user("ada")
    forbidden = await bare_registry.get(url, token=token)
    nobody = await bare_registry.get(url, token=None)
    assert (forbidden.status, forbidden.body) == (403, FORBIDDEN)
    assert (nobody.status, nobody.body) == (401, UNAUTHORIZED)


async def test_who_lost_the_right_while_the_request_was_being_sent_changes_nothing(scene: Scene) -> None:
    store = scene.registry.backends.store
    ada, _ = await add_somebody(scene, "ada", AccessLevel.OWNER)
    caller = SignedIn(user=ada, token_id=TokenId(1), scopes=("api",))
    new = NewDeployToken(name="ci", username=None, scopes=("read_package_registry",), expires_at=None)
    made = await CreateDeployToken(store)(caller, scene.source, new)
    member = f"/api/v4/{scene.kind}/{scene.source.id}/members/{ada.id}"
    await scene.create(name="owned by root")
    if scene.kind == "groups":  # whose last owner stays
        await scene.registry.ask("POST", member.rpartition("/")[0] + "?user_id=1&access_level=50")
    assert (await scene.registry.ask("DELETE", member)).status == 204
    with pytest.raises(Forbidden):
        await CreateDeployToken(store)(caller, scene.source, new)
    with pytest.raises(Forbidden):
        await RevokeDeployToken(store)(caller, scene.source, made.token.id)
    assert (await scene.registry.ask("DELETE", f"/api/v4/{scene.kind}/{scene.source.id}")).status == 202
    with pytest.raises(NotFound):
        await CreateDeployToken(store)(caller, scene.source, new)
