"""Members of groups and projects: who may add whom, in GitLab's order of checks, and from when on it counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.models import AccessLevel, Project, User
from tests.api.registry import ROOT_TOKEN, Registry
from tests.api.test_groups import audit_actions, send

UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
FORBIDDEN = b'{"message":"403 Forbidden"}'
NO_MEMBER = b'{"message":"404 Not found"}'
NO_USER = b'{"message":"404 User Not Found"}'
EXISTS = b'{"message":"Member already exists"}'
TODAY = datetime.now(UTC).date()
KINDS = ["projects", "groups"]


class Scene:
    """A project in a group, and an owner, a maintainer and somebody else, all of the source that is looked at."""

    def __init__(self, registry: Registry, kind: str, project: Project) -> None:
        self.registry, self.kind, self.project = registry, kind, project
        source_id = project.id if kind == "projects" else project.namespace.id
        self.url = f"/api/v4/{kind}/{source_id}/members"
        self.users: dict[str, User] = {}
        self.tokens: dict[str, str] = {}

    async def add(self, name: str, level: AccessLevel | None = None, expires_at: datetime | None = None) -> User:
        user, self.tokens[name] = await self.registry.add_user(name)
        self.users[name] = user
        if level is not None:
            async with self.registry.backends.store.writing() as rows:
                if self.kind == "projects":
                    await rows.tenants.add_project_member(self.project, user.id, level=level, expires_at=expires_at)
                else:
                    await rows.tenants.add_namespace_member(
                        self.project.namespace, user.id, level=level, expires_at=expires_at
                    )
        return user


@pytest.fixture(params=KINDS)
async def scene(bare_registry: Registry, request: pytest.FixtureRequest) -> Scene:
    found = Scene(bare_registry, request.param, await bare_registry.add_project("app"))
    await found.add("owner", AccessLevel.OWNER)
    await found.add("other")
    return found


async def test_a_member_is_added_shown_changed_and_removed(scene: Scene) -> None:
    registry, other, owner = scene.registry, scene.users["other"], scene.users["owner"]
    expires_at = (TODAY + timedelta(days=9)).isoformat()
    body = {"user_id": other.id, "access_level": 30, "expires_at": expires_at}
    answer = await send(registry, "POST", scene.url, body, token=scene.tokens["owner"])
    basic = {"public_email": "", "state": "active", "locked": False, "avatar_url": None}
    assert (answer.status, answer.json) == (
        201,
        {
            "id": other.id,
            "username": "other",
            "public_email": "",
            "name": "other",
            "state": "active",
            "locked": False,
            "avatar_url": None,
            "web_url": f"{registry.url}/other",
            "access_level": 30,
            "created_at": answer.json["created_at"],
            "created_by": {
                "id": owner.id,
                "username": "owner",
                "name": "owner",
                "web_url": f"{registry.url}/owner",
                **basic,
            },
            "expires_at": expires_at,
            "membership_state": "active",
        },
    )
    url = f"{scene.url}/{other.id}"
    assert (await registry.get(url)).body == answer.body
    kept = await send(registry, "PUT", url, {"access_level": 20}, token=scene.tokens["owner"])
    assert (kept.status, kept.json["access_level"], kept.json["expires_at"]) == (200, 20, expires_at)
    for nothing in (None, ""):
        cleared = await send(registry, "PUT", url, {"access_level": "20", "expires_at": nothing})
        assert cleared.json["expires_at"] is None
    assert (await registry.get(url)).body == cleared.body
    removed = await send(registry, "DELETE", url, token=scene.tokens["owner"])
    assert (removed.status, removed.body) == (204, b"")
    for method in ("GET", "DELETE"):
        gone = await send(registry, method, url)
        assert (gone.status, gone.body) == (404, NO_MEMBER)
    assert (await audit_actions(registry))[-5:] == ["member.added", *["member.changed"] * 3, "member.removed"]


async def test_all_demands_a_user_and_a_source_that_is_there_for_this_user(scene: Scene) -> None:
    registry = scene.registry
    word = b"Project" if scene.kind == "projects" else b"Group"
    for method, rest, body in (
        ("GET", "", None),
        ("GET", "/all", None),
        ("GET", "/1", None),
        ("GET", "/all/1", None),
        ("POST", "", {}),
        ("PUT", "/1", {}),
        ("DELETE", "/1", None),
    ):
        answer = await send(registry, method, scene.url + rest, body, token=None)
        assert (answer.status, answer.body) == (401, UNAUTHORIZED)
        if scene.kind == "projects":  # The group is public.
            answer = await send(registry, method, scene.url + rest, body, token=scene.tokens["other"])
            assert (answer.status, answer.body) == (404, b'{"message":"404 %s Not Found"}' % word)


async def test_the_checks_of_an_addition_are_made_in_gitlabs_order(scene: Scene) -> None:
    registry = scene.registry
    await scene.add("guest", AccessLevel.GUEST)
    await scene.add("maintainer", AccessLevel.MAINTAINER)
    guest, owner, other = scene.tokens["guest"], scene.tokens["owner"], scene.users["other"].id
    bad_level = b'{"message":{"access_level":["is not included in the list"]}}'
    for body, token, status, text in (
        ({"user_id": 9**9, "access_level": 99}, guest, 404, NO_USER),
        ({"username": "nobody", "access_level": 99}, guest, 404, NO_USER),
        ({"username": "OWNER", "access_level": 99}, guest, 409, EXISTS),
        ({"user_id": other, "access_level": 99}, guest, 403, FORBIDDEN),
        ({"user_id": other, "access_level": 10}, guest, 403, FORBIDDEN),
        ({"user_id": other, "access_level": 99}, owner, 400, bad_level),
        ({"user_id": other, "access_level": 60}, ROOT_TOKEN, 400, bad_level),
        ({"user_id": other, "access_level": 0}, owner, 400, bad_level),
        ({"user_id": other, "access_level": -(2**62)}, owner, 400, bad_level),
        (
            {"user_id": other, "access_level": 10, "expires_at": "2001-01-01"},
            owner,
            400,
            b'{"message":{"expires_at":["cannot be a date in the past"]}}',
        ),
        ({"user_id": other, "access_level": 50}, scene.tokens["maintainer"], 403, FORBIDDEN),
        ({"user_id": other, "access_level": 50}, owner, 201, None),
        ({"user_id": other, "access_level": 50}, owner, 409, EXISTS),
    ):
        answer = await send(registry, "POST", scene.url, body, token=token)
        assert answer.status == status, answer.body
        assert text is None or answer.body == text


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "access_level is missing"),
        ({"access_level": 10}, "user_id, username are missing, at least one parameter must be provided"),
        ({"access_level": 10, "user_id": 1, "username": "a"}, "user_id, username are mutually exclusive"),
        ({"access_level": "x", "user_id": 1}, "access_level is invalid"),
        ({"access_level": True, "user_id": 1}, "access_level is invalid"),
        ({"access_level": 10.5, "user_id": 1}, "access_level is invalid"),
        ({"access_level": 10**30, "user_id": 1}, "access_level is invalid"),
        ({"access_level": 10, "user_id": "one"}, "user_id is invalid"),
        ({"access_level": 10, "user_id": [1]}, "user_id is invalid"),
        ({"access_level": 10, "user_id": 10**30}, "user_id is invalid"),
        ({"access_level": 10, "user_id": ","}, "user_id is invalid"),
        ({"access_level": 10, "username": "a\0b"}, "username is invalid"),
        ({"access_level": 10, "username": ",".join(map(str, range(101)))}, "username is invalid"),
        ({"access_level": 10, "user_id": 1, "expires_at": "tomorrow"}, "expires_at is invalid"),
        ({"access_level": 10, "user_id": 1, "expires_at": "2027-02-30"}, "expires_at is invalid"),
        ({"access_level": 10, "user_id": 1, "expires_at": 7}, "expires_at is invalid"),
    ],
)
async def test_a_bad_addition_is_refused_with_its_reason(scene: Scene, body: Any, problem: str) -> None:
    answer = await send(scene.registry, "POST", scene.url, body)
    assert (answer.status, answer.json) == (400, {"error": problem})


@pytest.mark.parametrize(
    ("user_id", "status", "body"),
    [
        ("x", 400, b'{"error":"user_id is invalid"}'),
        ("0", 404, NO_MEMBER),
        ("-1", 404, NO_MEMBER),
        ("9" * 40, 404, NO_MEMBER),
    ],
)
async def test_a_bad_user_id_in_the_url(scene: Scene, user_id: str, status: int, body: bytes) -> None:
    for method, rest in (("GET", ""), ("GET", "/all"), ("PUT", ""), ("DELETE", "")):
        url = f"{scene.url}{rest}/{user_id}"
        answer = await send(scene.registry, method, url, {"access_level": 10} if method == "PUT" else None)
        assert (answer.status, answer.body) == (status, body)


async def test_several_users_are_added_together_or_not_at_all(scene: Scene) -> None:
    registry = scene.registry
    await scene.add("third")
    for body, status, text in (
        ({"username": "other,nobody", "access_level": 10}, 404, NO_USER),
        ({"username": "other, owner", "access_level": 10}, 409, EXISTS),
        ({"username": "other,third", "access_level": 10}, 201, b'{"status":"success"}'),
    ):
        answer = await send(registry, "POST", scene.url, body, token=scene.tokens["owner"])
        assert (answer.status, answer.body) == (status, text)
    assert [one["username"] for one in (await registry.get(scene.url)).json] == ["owner", "other", "third"]
    for name in ("fourth", "fifth"):
        await scene.add(name)
    ids = ",".join(str(scene.users[name].id) for name in ("fourth", "fifth"))
    answer = await send(registry, "POST", scene.url, {"user_id": ids, "access_level": 10})
    assert (answer.status, answer.body) == (201, b'{"status":"success"}')


async def test_nobody_changes_or_removes_members_above_their_own_level(scene: Scene) -> None:
    registry = scene.registry
    await scene.add("maintainer", AccessLevel.MAINTAINER)
    await scene.add("developer", AccessLevel.DEVELOPER)
    owner = f"{scene.url}/{scene.users['owner'].id}"
    maintainer = f"{scene.url}/{scene.users['maintainer'].id}"
    for name, url in (("maintainer", owner), ("developer", maintainer), ("developer", owner)):
        for method, body in (("PUT", {"access_level": 10}), ("DELETE", None)):
            answer = await send(registry, method, url, body, token=scene.tokens[name])
            assert (answer.status, answer.body) == (403, FORBIDDEN)
    rises = await send(registry, "PUT", maintainer, {"access_level": 50}, token=scene.tokens["maintainer"])
    assert rises.status == 403
    leaves = await send(
        registry, "DELETE", f"{scene.url}/{scene.users['developer'].id}", token=scene.tokens["developer"]
    )
    assert leaves.status == 204, "everybody may leave"


async def test_the_last_owner_of_a_group_stays(bare_registry: Registry) -> None:
    scene = Scene(bare_registry, "groups", await bare_registry.add_project("app"))
    await scene.add("owner", AccessLevel.OWNER)
    await scene.add("late", AccessLevel.OWNER, expires_at=datetime.now(UTC) - timedelta(days=1))
    url = f"{scene.url}/{scene.users['owner'].id}"
    for token in (scene.tokens["owner"], ROOT_TOKEN):
        for method, body in (
            ("DELETE", None),
            ("PUT", {"access_level": 40}),
            ("PUT", {"access_level": 50, "expires_at": TODAY.isoformat()}),
        ):
            answer = await send(bare_registry, method, url, body, token=token)
            assert (answer.status, answer.body) == (403, FORBIDDEN)
    await scene.add("second", AccessLevel.OWNER)
    assert (await send(bare_registry, "DELETE", url, token=scene.tokens["owner"])).status == 204


async def test_the_owner_of_a_personal_project_is_its_member_for_good(bare_registry: Registry) -> None:
    _, token = await bare_registry.add_user("ada")
    project = (await bare_registry.post_json("/api/v4/projects", {"name": "mine"}, token=token)).json
    url = f"/api/v4/projects/{project['id']}/members"
    listed = (await bare_registry.get(url, token=token)).json
    assert [(one["username"], one["access_level"]) for one in listed] == [("ada", 50)]
    answer = await send(bare_registry, "POST", url, {"username": "ada", "access_level": 10})
    assert (answer.status, answer.body) == (409, EXISTS)
    assert (await send(bare_registry, "DELETE", f"{url}/{listed[0]['id']}")).body == FORBIDDEN


async def test_inherited_members_stand_among_all_and_not_among_the_direct_ones(bare_registry: Registry) -> None:
    scene = Scene(bare_registry, "groups", await bare_registry.add_project("app"))
    for name, level in (("owner", AccessLevel.OWNER), ("guest", AccessLevel.GUEST)):
        await scene.add(name, level)
    project = f"/api/v4/projects/{scene.project.id}/members"
    await bare_registry.add_member(scene.project, scene.users["guest"], AccessLevel.DEVELOPER)

    async def listed(url: str) -> list[tuple[str, int]]:
        return [(one["username"], one["access_level"]) for one in (await bare_registry.get(url)).json]

    assert await listed(project) == [("guest", 30)]
    assert await listed(f"{project}/all") == [("owner", 50), ("guest", 30)]
    assert await listed(f"{project}/all?query=OWN") == [("owner", 50)]
    assert await listed(f"{project}/all?user_ids[]={scene.users['guest'].id}&user_ids[]=77") == [("guest", 30)]
    assert (await bare_registry.get(f"{project}/all/{scene.users['owner'].id}")).json["access_level"] == 50
    assert (await bare_registry.get(f"{project}/{scene.users['owner'].id}")).body == NO_MEMBER
    paged = await bare_registry.get(f"{project}/all?per_page=1")
    assert (paged.headers["x-total"], paged.headers["x-next-page"]) == ("2", "2")


@pytest.mark.parametrize(("query", "remains"), [("", 404), ("?skip_subresources=True", 200)])
async def test_removal_from_a_group_reaches_below_unless_told_otherwise(
    bare_registry: Registry, query: str, remains: int
) -> None:
    scene = Scene(bare_registry, "groups", await bare_registry.add_project("app"))
    user = await scene.add("member", AccessLevel.DEVELOPER)
    await bare_registry.add_member(scene.project, user, AccessLevel.DEVELOPER)
    assert (await send(bare_registry, "DELETE", f"{scene.url}/{user.id}{query}")).status == 204
    project = await bare_registry.get(f"/api/v4/projects/{scene.project.id}", token=scene.tokens["member"])
    assert project.status == remains


async def test_membership_counts_from_the_very_next_request_on(bare_registry: Registry) -> None:
    scene = Scene(bare_registry, "projects", await bare_registry.add_project("app"))
    user = await scene.add("someone")
    token, simple = scene.tokens["someone"], f"{bare_registry.pypi_of(scene.project.id)}/simple/"
    for method, url, body, status in (
        ("GET", simple, None, 404),
        ("POST", scene.url, {"user_id": user.id, "access_level": 10}, 201),
        ("GET", simple, None, 200),
        ("PUT", f"{scene.url}/{user.id}", {"access_level": 10, "expires_at": TODAY.isoformat()}, 200),
        ("GET", simple, None, 404),
        ("POST", scene.url, {"user_id": user.id, "access_level": 10}, 201),
        ("GET", simple, None, 200),
        ("DELETE", f"{scene.url}/{user.id}", None, 204),
        ("GET", simple, None, 404),
    ):
        asker = token if method == "GET" else ROOT_TOKEN
        assert (await send(bare_registry, method, url, body, token=asker)).status == status


async def test_only_administrators_search_members_by_their_addresses(scene: Scene) -> None:
    registry, owner = scene.registry, scene.users["owner"]
    for path in (scene.url, f"{scene.url}/all"):
        for text in ("@localhost", owner.email):
            told = await registry.get(f"{path}?query={text}", token=scene.tokens["owner"])
            assert (told.status, told.json, told.headers["x-total"]) == (200, [], "0")
            told = await registry.get(f"{path}?query={text}")
            assert [member["username"] for member in told.json] == ["owner"]
