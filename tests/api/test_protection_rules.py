"""Package protection rules: parameters come first, then who asks, then where; and what rules may say."""

import json
from typing import Any

import pytest

from shared.models import AccessLevel, Project, RegistryAccess, Visibility
from shared.protection import ProtectedPackageType, ProtectionLevel, ProtectionTerms
from shared.usecases.protection_rules import MOST_RULES
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.api.test_groups import audit_actions, send

UNAUTHORIZED = (401, b'{"message":"401 Unauthorized"}')
FORBIDDEN = (403, b'{"message":"403 Forbidden"}')
NO_PROJECT = (404, b'{"message":"404 Project Not Found"}')
NO_RULE = (404, b'{"message":"404 Not found"}')
NO_LEVEL = "A rule must have at least a minimum access role for push or delete."
TAKEN = "Package name pattern has already been taken"
BAD_PYPI = "Package name pattern should be a valid PyPI package name with optional wildcard characters."
NEITHER = (
    "minimum_access_level_for_push, minimum_access_level_for_delete are missing, "
    "at least one parameter must be provided"
)
NEW = {"package_name_pattern": "my-*", "package_type": "pypi", "minimum_access_level_for_push": "maintainer"}


def rules_of(project: Project | int | str) -> str:
    return f"/api/v4/projects/{project.id if isinstance(project, Project) else project}/packages/protection/rules"


def told(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


async def add_rule(registry: Registry, project: Project, **said: Any) -> int:
    answer = await send(registry, "POST", rules_of(project), NEW | said)
    assert answer.status == 201, answer.body
    return int(answer.json["id"])


async def test_a_rule_is_added_listed_changed_and_removed(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    user, token = await bare_registry.add_user("maintainer")
    await bare_registry.add_member(project, user, AccessLevel.MAINTAINER)
    url = rules_of("team%2Fapp")
    assert told(await bare_registry.get(url, token=token)) == (200, b"[]")
    created = await send(bare_registry, "POST", url, NEW, token=token)
    rule = {
        "id": 1,
        "project_id": project.id,
        "package_name_pattern": "my-*",
        "package_type": "pypi",
        "minimum_access_level_for_delete": None,
        "minimum_access_level_for_push": "maintainer",
    }
    assert (created.status, created.json) == (201, rule)
    assert list(created.json) == list(rule)
    changed = await send(
        bare_registry,
        "PATCH",
        f"{url}/1",
        {"minimum_access_level_for_push": None, "minimum_access_level_for_delete": "owner"},
        token=token,
    )
    rule |= {"minimum_access_level_for_push": None, "minimum_access_level_for_delete": "owner"}
    assert (changed.status, changed.json) == (200, rule)
    form = await bare_registry.ask(
        "PATCH", f"{url}/1", token=token, data={"package_name_pattern": "@s/*", "package_type": "npm"}
    )
    rule |= {"package_name_pattern": "@s/*", "package_type": "npm"}
    assert (form.status, form.json) == (200, rule)
    for nothing in ({}, {"package_type": "npm", "unknown": 1}):
        assert (await send(bare_registry, "PATCH", f"{url}/1", nothing, token=token)).json == rule
    second = await bare_registry.ask("POST", f"{url}/?package_name_pattern=*&package_type=pypi", token=token, data=NEW)
    assert (second.status, second.json["package_name_pattern"]) == (201, "my-*"), "what stands in the body wins"
    listed = await bare_registry.get(f"{rules_of(project)}?per_page=1&page=2", token=token)
    assert listed.json == [rule, second.json], "in one piece"
    assert not [name for name in listed.headers if name.startswith("x-p") or name == "link"]
    removed = await bare_registry.ask("DELETE", f"{url}/1", token=token)
    assert told(removed) == (204, b"")
    for method, body in (("PATCH", {}), ("DELETE", None)):
        assert told(await send(bare_registry, method, f"{url}/1", body, token=token)) == NO_RULE
    assert (await bare_registry.get(url, token=token)).json == [second.json]
    assert [action for action in await audit_actions(bare_registry) if action.startswith("protection_rule")] == [
        "protection_rule.created",
        "protection_rule.changed",
        "protection_rule.changed",
        "protection_rule.created",
        "protection_rule.deleted",
    ]
    [event] = await bare_registry.rows(
        "SELECT actor, project_id, details FROM audit_events WHERE action = 'protection_rule.deleted'"
    )
    assert event[:2] == (f"user:{user.id}", project.id)
    assert json.loads(event[2]) == {name: value for name, value in rule.items() if name not in ("id", "project_id")}


class Scene:
    """A private project, a public one and one without a registry, each with a rule, and everybody who may ask."""

    BELOW = ("guest", "reporter", "developer")
    FROM_MAINTAINER = ("maintainer", "owner", "root")

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.tokens: dict[str, str | None] = {"nobody": None, "unknown": "glpat-nobody-has-this", "root": ROOT_TOKEN}
        self.projects: dict[str, Project] = {}
        self.rules: dict[str, int] = {}

    async def set_up(self) -> None:
        for name, visibility in (("private", Visibility.PRIVATE), ("public", Visibility.PUBLIC)):
            self.projects[name] = await self.registry.add_project(name, visibility=visibility)
            self.rules[name] = await add_rule(self.registry, self.projects[name])
        self.projects["off"] = await self.registry.add_project("off", registry_access=RegistryAccess.DISABLED)
        _, self.tokens["stranger"] = await self.registry.add_user("stranger")
        for name in (*self.BELOW, "maintainer", "owner"):
            user, self.tokens[name] = await self.registry.add_user(name)
            for project in self.projects.values():
                await self.registry.add_member(project, user, AccessLevel[name.upper()])

    async def send(self, method: str, place: Project | int | str, rest: str, body: Any, *, by: str) -> Answer:
        return await send(self.registry, method, rules_of(place) + rest, body, token=self.tokens[by])

    async def check(
        self, place: Project | int | str, rests: tuple[str, ...], expected: dict[str, tuple[int, bytes]]
    ) -> None:
        """Check what good requests are told: those for a list where there is no rest, or for one rule."""
        requests = [
            (method, rest, body)
            for rest in rests
            for method, body in (
                (("PATCH", {"package_type": "npm"}), ("DELETE", None)) if rest else (("GET", None), ("POST", NEW))
            )
        ]
        for name, answer in expected.items():
            for method, rest, body in requests:
                found = await self.send(method, place, rest, body, by=name)
                assert told(found) == answer, (method, place, rest, name)


@pytest.fixture
async def scene(bare_registry: Registry) -> Scene:
    made = Scene(bare_registry)
    await made.set_up()
    return made


NOBODY = dict.fromkeys(("nobody", "unknown"), UNAUTHORIZED)


async def test_bad_parameters_are_told_to_everybody_wherever_they_ask(scene: Scene) -> None:
    missing = f"package_name_pattern is missing, package_type is missing, {NEITHER}"
    not_valid, no_number = "package_type does not have a valid value", "package_protection_rule_id is invalid"
    requests: tuple[tuple[str, str, Any, str], ...] = (
        ("POST", "", {}, missing),
        ("POST", "/", NEW | {"package_type": "deb"}, not_valid),
        ("PATCH", f"/{scene.rules['private']}", {"package_type": "deb"}, not_valid),
        ("PATCH", "/one", {}, no_number),
        ("PATCH", "/one", {"package_type": "deb"}, f"{no_number}, {not_valid}"),
        ("DELETE", "/1.5", None, no_number),
    )
    places: list[Project | int | str] = [*scene.projects.values(), 9**9, "none", "no%2Fne", "0", "-1"]
    for place in places:
        for name in scene.tokens:
            for method, rest, body, problem in requests:
                found = await scene.send(method, place, rest, body, by=name)
                assert (found.status, found.json) == (400, {"error": problem}), (method, place, rest, name)


async def test_who_asks_comes_before_the_project_and_the_project_before_the_level(scene: Scene) -> None:
    rests = ("", f"/{scene.rules['private']}", "/999")
    members = dict.fromkeys(scene.BELOW, FORBIDDEN)
    known = [name for name in scene.tokens if name not in NOBODY]
    for place in (9**9, "none", "no%2Fne"):
        await scene.check(place, rests, NOBODY | dict.fromkeys(known, NO_PROJECT))
    await scene.check(scene.projects["private"], rests, NOBODY | {"stranger": NO_PROJECT} | members)
    await scene.check(scene.projects["public"], rests, NOBODY | {"stranger": FORBIDDEN} | members)
    switched_off = dict.fromkeys(scene.FROM_MAINTAINER, FORBIDDEN)
    await scene.check(scene.projects["off"], rests, NOBODY | {"stranger": NO_PROJECT} | members | switched_off)
    for name, rule in scene.rules.items():
        listed = (await scene.registry.get(rules_of(scene.projects[name]))).json
        assert [one["id"] for one in listed] == [rule], "whoever was refused has changed nothing"


async def test_from_maintainer_on_only_the_rule_must_be_one_of_the_project(scene: Scene) -> None:
    project = scene.projects["private"]
    not_there = (f"/{scene.rules['public']}", "/999", "/0", "/-1", f"/{'9' * 40}")
    await scene.check(project, not_there, dict.fromkeys(scene.FROM_MAINTAINER, NO_RULE))
    for name in scene.FROM_MAINTAINER:
        own = f"/{await add_rule(scene.registry, project, package_name_pattern=name)}"
        assert (await scene.send("GET", project, "", None, by=name)).status == 200
        assert (await scene.send("PATCH", project, own, {"package_type": "npm"}, by=name)).status == 200
        assert (await scene.send("DELETE", project, own, None, by=name)).status == 204


async def test_nobody_is_listened_to_for_long_before_they_say_who_they_are(bare_registry: Registry) -> None:
    url = rules_of(9**9)
    for headers, body, status, text in (
        ({"Content_Type": "application/json"}, "{", 400, "message body does not match declared format"),
        ({"Content_Type": "application/json"}, "[" * 10**6, 400, "message body does not match declared format"),
        ({"Content_Type": "text/plain"}, "{}", 415, "The provided content-type 'text/plain' is not supported."),
        ({"Content_Type": "application/json"}, '"' + "x" * 2**20 + '"', 413, "413 Request Entity Too Large"),
    ):
        for method, rest in (("POST", ""), ("PATCH", "/1")):
            answer = await bare_registry.ask(method, url + rest, token=None, data=body.encode(), **headers)
            assert (answer.status, answer.json) == (status, {"error": text})
    # Who only asks, or deletes, is not listened to at all.
    for method, rest in (("GET", ""), ("DELETE", "/1")):
        answer = await bare_registry.ask(method, url + rest, token=None, data="{", Content_Type="application/json")
        assert told(answer) == UNAUTHORIZED


async def test_a_token_needs_the_scope_and_other_methods_are_not_served(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    user, _ = await bare_registry.add_user("maintainer")
    await bare_registry.add_member(project, user, AccessLevel.MAINTAINER)
    await bare_registry.add_token(user, "glpat-that-only-reads", scopes=("read_api",))
    assert (await bare_registry.get(rules_of(project), token="glpat-that-only-reads")).json == []
    refused = await send(bare_registry, "POST", rules_of(project), NEW, token="glpat-that-only-reads")
    assert (refused.status, refused.json["error"], refused.json["scope"]) == (403, "insufficient_scope", "api read_api")
    for url, method, allowed in (
        (rules_of(project), "PUT", "GET, HEAD, POST"),
        (f"{rules_of(project)}/1", "PUT", "DELETE, PATCH"),
        (f"{rules_of(project)}/1", "GET", "DELETE, PATCH"),
    ):
        answer = await bare_registry.ask(method, url)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)


_DELETE_INVALID = "minimum_access_level_for_delete does not have a valid value"
_PUSH_INVALID = "minimum_access_level_for_push does not have a valid value"
_TYPE_INVALID = "package_type does not have a valid value"


async def test_bad_parameters_are_told_in_gitlabs_words(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    url, rule = rules_of(project), await add_rule(bare_registry, project, package_name_pattern="there")
    without_pattern = {name: value for name, value in NEW.items() if name != "package_name_pattern"}
    without_level = {name: value for name, value in NEW.items() if name != "minimum_access_level_for_push"}
    only_new: list[tuple[dict[str, Any], str]] = [
        (without_pattern, "package_name_pattern is missing"),
        (without_level, NEITHER),
        (without_level | {"package_type": ""}, f"{_TYPE_INVALID}, {NEITHER}"),
    ]
    both: list[tuple[dict[str, Any], str]] = [
        (NEW | {"package_type": ""}, _TYPE_INVALID),
        (NEW | {"package_type": None}, _TYPE_INVALID),
        (NEW | {"package_type": "PyPI"}, _TYPE_INVALID),
        (NEW | {"package_type": "composer"}, _TYPE_INVALID),
        (NEW | {"package_type": 5}, _TYPE_INVALID),
        (NEW | {"minimum_access_level_for_push": ""}, _PUSH_INVALID),
        (NEW | {"minimum_access_level_for_push": "developer"}, _PUSH_INVALID),
        (NEW | {"minimum_access_level_for_push": 40}, _PUSH_INVALID),
        (NEW | {"minimum_access_level_for_push": ["admin"]}, _PUSH_INVALID),
        (NEW | {"minimum_access_level_for_delete": ""}, _DELETE_INVALID),
        (NEW | {"minimum_access_level_for_delete": "maintainer"}, _DELETE_INVALID),
        (
            NEW | {"minimum_access_level_for_delete": "x", "minimum_access_level_for_push": "y"},
            f"{_PUSH_INVALID}, {_DELETE_INVALID}",
        ),
        (NEW | {"package_name_pattern": 7}, "package_name_pattern is invalid"),
        (NEW | {"package_name_pattern": ["a"]}, "package_name_pattern is invalid"),
        (NEW | {"package_name_pattern": "a\0"}, "package_name_pattern is invalid"),
        (NEW | {"package_name_pattern": "\ud800"}, "package_name_pattern is invalid"),
    ]
    for method, target, cases in (("POST", url, only_new + both), ("PATCH", f"{url}/{rule}", both)):
        for body, problem in cases:
            answer = await send(bare_registry, method, target, body)
            assert (answer.status, answer.json) == (400, {"error": problem}), (method, body)
    assert len((await bare_registry.get(url)).json) == 1


async def test_what_no_rule_may_say_is_told_as_of_a_record(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    url, rule = rules_of(project), await add_rule(bare_registry, project)
    await add_rule(bare_registry, await bare_registry.add_project("other"), package_name_pattern="taken")
    other = await add_rule(bare_registry, project, package_name_pattern="taken", package_type="npm")
    await add_rule(bare_registry, project, package_name_pattern="taken")
    nulls = {"minimum_access_level_for_push": None, "minimum_access_level_for_delete": None}
    long = "Package name pattern is too long (maximum is 255 characters)"
    both: list[tuple[dict[str, Any], list[str]]] = [
        (NEW | nulls | {"package_name_pattern": "x"}, [NO_LEVEL]),
        (NEW | {"minimum_access_level_for_push": None, "package_name_pattern": "x"}, [NO_LEVEL]),
        (NEW | {"package_name_pattern": "taken"}, [TAKEN]),
        (NEW | {"package_name_pattern": ""}, ["Package name pattern can't be blank"]),
        (NEW | {"package_name_pattern": None}, ["Package name pattern can't be blank"]),
        (NEW | {"package_name_pattern": "x" * 256}, [long]),
        (NEW | {"package_name_pattern": "x" * 10**6}, [long]),
        (NEW | {"package_name_pattern": "a b"}, [BAD_PYPI]),
        (NEW | {"package_name_pattern": "a\nb"}, [BAD_PYPI]),
        (NEW | nulls | {"package_name_pattern": "%"}, [BAD_PYPI, NO_LEVEL]),
        (
            NEW | {"package_name_pattern": "*@a/b", "package_type": "npm"},
            ["Package name pattern should be a valid NPM package name with optional wildcard characters."],
        ),
    ]
    only_change = [({"package_type": "pypi"}, [TAKEN]), (nulls, [NO_LEVEL])]
    for method, target, cases in (
        ("POST", url, [*both, (NEW, [TAKEN])]),
        ("PATCH", f"{url}/{rule}", both),
        ("PATCH", f"{url}/{other}", only_change),
    ):
        for body, problems in cases:
            answer = await send(bare_registry, method, target, body)
            assert (answer.status, answer.json) == (422, {"message": {"error": problems}}), (method, body)
    assert [one["package_name_pattern"] for one in (await bare_registry.get(url)).json] == ["my-*", "taken", "taken"]
    own = await send(bare_registry, "PATCH", f"{url}/{rule}", NEW | {"minimum_access_level_for_push": "admin"})
    assert (own.status, own.json["minimum_access_level_for_push"]) == (200, "admin"), (
        "a rule does not take its own name"
    )
    for package_type in ProtectedPackageType:
        assert await add_rule(bare_registry, project, package_name_pattern="*", package_type=package_type)


async def test_a_project_has_a_bounded_number_of_rules(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    async with bare_registry.backends.store.writing() as rows:
        for number in range(MOST_RULES - 1):
            await rows.protection_rules.add(
                project.id,
                ProtectionTerms(
                    package_name_pattern=f"pkg-{number}",
                    package_type=ProtectedPackageType.PYPI,
                    minimum_access_level_for_push=ProtectionLevel.OWNER,
                    minimum_access_level_for_delete=None,
                ),
            )
    last = await add_rule(bare_registry, project)
    answer = await send(bare_registry, "POST", rules_of(project), NEW | {"package_name_pattern": "one-more"})
    problem = "A project may have at most 1000 package protection rules."
    assert (answer.status, answer.json) == (422, {"message": {"error": [problem]}})
    assert len((await bare_registry.get(rules_of(project))).json) == MOST_RULES
    assert (await send(bare_registry, "PATCH", f"{rules_of(project)}/{last}", {"package_type": "npm"})).status == 200
    assert (await bare_registry.ask("DELETE", f"{rules_of(project)}/{last}")).status == 204
    await add_rule(bare_registry, project, package_name_pattern="one-more")


async def test_where_deletes_are_not_protected_a_level_for_them_is_neither_shown_nor_stored(
    bare_registry: Registry,
) -> None:
    project = await bare_registry.add_project("app")
    url = rules_of(project)
    both = NEW | {"minimum_access_level_for_delete": "owner"}
    only_delete = NEW | {"minimum_access_level_for_push": None, "minimum_access_level_for_delete": "owner"}
    kept = await add_rule(bare_registry, project, **both)
    setting = "/api/v4/application/settings?packages_protected_packages_delete="
    await bare_registry.ask("PUT", f"{setting}false")

    def levels(answer: Answer) -> tuple[int, str | None, str | None]:
        said = answer.json
        return answer.status, said["minimum_access_level_for_push"], said["minimum_access_level_for_delete"]

    created = await send(bare_registry, "POST", url, both | {"package_name_pattern": "second"})
    assert levels(created) == (201, "maintainer", None)
    refused = await send(bare_registry, "POST", url, only_delete | {"package_name_pattern": "third"})
    assert (refused.status, refused.json) == (422, {"message": {"error": [NO_LEVEL]}})
    invalid = await send(bare_registry, "POST", url, both | {"minimum_access_level_for_delete": "maintainer"})
    assert (invalid.status, invalid.json) == (400, {"error": _DELETE_INVALID})
    changed = await send(bare_registry, "PATCH", f"{url}/{kept}", {"minimum_access_level_for_push": "admin"})
    assert levels(changed) == (200, "admin", None)
    same = await send(bare_registry, "PATCH", f"{url}/{kept}", {})
    assert levels(same) == (200, "admin", None)
    for one in (await bare_registry.get(url)).json:
        assert one["minimum_access_level_for_delete"] is None
    await bare_registry.ask("PUT", f"{setting}true")
    listed = (await bare_registry.get(url)).json
    assert [one["minimum_access_level_for_delete"] for one in listed] == ["owner", None], "what nobody changed is back"
    await bare_registry.ask("PUT", f"{setting}false")
    cleared = await send(bare_registry, "PATCH", f"{url}/{kept}", {"minimum_access_level_for_delete": "admin"})
    assert levels(cleared) == (200, "admin", None)
    await bare_registry.ask("PUT", f"{setting}true")
    assert [one["minimum_access_level_for_delete"] for one in (await bare_registry.get(url)).json] == [None, None]


async def test_a_rule_that_was_changed_since_the_client_looked_stays(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    url = f"{rules_of(project)}/{await add_rule(bare_registry, project)}"
    early = {"If_Unmodified_Since": "Mon, 01 Jan 2001 00:00:00 GMT"}
    refused = await bare_registry.ask("DELETE", url, **early)
    assert told(refused) == (412, b'{"message":"412 Precondition Failed"}')
    assert told(await bare_registry.ask("DELETE", f"{rules_of(project)}/9", **early)) == NO_RULE
    assert (await bare_registry.ask("DELETE", url, token=None, **early)).status == 401
    later = await bare_registry.ask("DELETE", url, If_Unmodified_Since="Fri, 01 Jan 2100 00:00:00 GMT")
    assert told(later) == (204, b"")
    unread = f"{rules_of(project)}/{await add_rule(bare_registry, project)}"
    assert (await bare_registry.ask("DELETE", unread, If_Unmodified_Since="yesterday")).status == 204
