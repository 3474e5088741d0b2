"""Projects: listed, changed and deleted, with the bodies that clients get."""

from typing import Any

import pytest

from shared.models import AccessLevel, RegistryAccess, Visibility
from shared.usecases.sweep import Sweep
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.api.test_groups import audit_actions, rows_of, send
from tests.distributions import build_wheel

API = "/api/v4/projects"
NOT_FOUND = b'{"message":"404 Project Not Found"}'
FORBIDDEN = b'{"message":"403 Forbidden"}'
UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
NOTHING_GIVEN = (
    "description, name, package_registry_access_level, packages_enabled, path, visibility are missing, "
    "at least one parameter must be provided"
)


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [one["path_with_namespace"] for one in answer.json]


async def test_projects_are_listed_as_far_as_the_caller_may_see_them(bare_registry: Registry) -> None:
    for visibility in Visibility:
        await bare_registry.add_project(f"{visibility}", visibility=visibility)
    mine = await bare_registry.add_project("mine")
    user, token = await bare_registry.add_user("someone")
    await bare_registry.add_member(mine, user, AccessLevel.DEVELOPER)

    async def listed(query: str, *, token: str | None = token) -> list[str]:
        return names(await bare_registry.get(f"{API}?{query}", token=token))

    assert await listed("", token=None) == ["team/public"]
    assert await listed("membership=true", token=None) == []
    assert await listed("") == ["team/mine", "team/public", "team/internal"]
    assert await listed("membership=True") == ["team/mine"]
    assert await listed("owned=true") == []
    assert await listed("min_access_level=30") == ["team/mine"]
    assert await listed("min_access_level=40") == []
    assert await listed("visibility=internal") == ["team/internal"]
    assert await listed("search=INT") == ["team/internal"]
    assert await listed("archived=true") == []
    assert await listed("archived=false&order_by=name&sort=asc") == ["team/internal", "team/mine", "team/public"]
    assert await listed("topic=x") == []
    everything = ["team/mine", "team/public", "team/internal", "team/private", "root/packages"]
    assert await listed("", token=ROOT_TOKEN) == everything
    assert await listed("owned=true", token=ROOT_TOKEN) == ["root/packages"]


async def test_a_listed_project_tells_what_the_caller_is_in_it(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    user, token = await bare_registry.add_user("someone")
    await bare_registry.add_member(project, user, AccessLevel.DEVELOPER)
    async with bare_registry.backends.store.writing() as rows:
        await rows.tenants.add_namespace_member(project.namespace, user.id, level=AccessLevel.REPORTER, expires_at=None)
    listed = (await bare_registry.get(API, token=token)).json
    assert listed == [(await bare_registry.get(f"{API}/{project.id}", token=token)).json]
    assert listed[0]["permissions"] == {
        "project_access": {"access_level": 30, "notification_level": 3},
        "group_access": {"access_level": 20, "notification_level": 3},
    }
    simple = (await bare_registry.get(f"{API}?simple=True", token=token)).json[0]
    assert simple.items() <= listed[0].items()
    assert list(simple) == [
        *("id", "description", "name", "name_with_namespace", "path", "path_with_namespace", "created_at"),
        *("default_branch", "tag_list", "topics", "web_url", "readme_url", "forks_count", "avatar_url", "star_count"),
        *("last_activity_at", "visibility", "namespace"),
    ]
    assert "permissions" not in simple


async def test_a_maintainer_changes_a_project(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    user, token = await bare_registry.add_user("maintainer")
    await bare_registry.add_member(project, user, AccessLevel.MAINTAINER)
    body = {"name": "The app", "description": "it", "visibility": "public", "package_registry_access_level": "public"}
    answer = await send(bare_registry, "PUT", f"{API}/team%2Fapp", body, token=token)
    assert answer.status == 200
    assert body.items() <= answer.json.items()
    assert (await bare_registry.get(f"{API}/{project.id}", token=token)).body == answer.body
    for packages_enabled, level in ((False, "disabled"), ("True", "enabled")):
        changed = await send(bare_registry, "PUT", f"{API}/{project.id}", {"packages_enabled": packages_enabled})
        assert changed.json["package_registry_access_level"] == level
    assert (await audit_actions(bare_registry))[-3:] == ["project.changed"] * 3


async def test_a_change_of_visibility_counts_from_the_next_request_on(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app", visibility=Visibility.PUBLIC)
    simple = f"{bare_registry.pypi_of(project.id)}/simple/"
    for body, status in (
        ({"visibility": "private"}, 401),
        ({"package_registry_access_level": "public"}, 200),
        ({"visibility": "public", "packages_enabled": False}, 403),
        ({"packages_enabled": True}, 200),
    ):
        assert (await send(bare_registry, "PUT", f"{API}/{project.id}", body)).status == 200
        assert (await bare_registry.get(simple, token=None)).status == status


async def test_who_may_change_and_delete_a_project(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    tokens: dict[str, str | None] = {"nobody": None}
    _, tokens["stranger"] = await bare_registry.add_user("stranger")
    for level in (AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER):
        user, tokens[level.name] = await bare_registry.add_user(level.name.lower())
        await bare_registry.add_member(project, user, level)
    url = f"{API}/{project.id}"
    for method, who, status, text in (
        ("PUT", "nobody", 401, UNAUTHORIZED),
        ("PUT", "stranger", 404, NOT_FOUND),
        ("PUT", "DEVELOPER", 403, FORBIDDEN),
        ("PUT", "MAINTAINER", 200, None),
        ("DELETE", "nobody", 401, UNAUTHORIZED),
        ("DELETE", "stranger", 404, NOT_FOUND),
        ("DELETE", "DEVELOPER", 403, FORBIDDEN),
        ("DELETE", "MAINTAINER", 403, FORBIDDEN),
        ("DELETE", "OWNER", 202, b'{"message":"202 Accepted"}'),
        ("DELETE", "OWNER", 404, NOT_FOUND),
    ):
        body = {"description": "x"} if method == "PUT" else None
        answer = await send(bare_registry, method, url, body, token=tokens[who])
        assert answer.status == status
        assert text is None or answer.body == text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"error": NOTHING_GIVEN}),
        ({"unknown": 1, "name": None}, {"error": NOTHING_GIVEN}),
        ({"visibility": 7}, {"error": "visibility does not have a valid value"}),
        ({"package_registry_access_level": ""}, {"error": "package_registry_access_level does not have a valid value"}),
        ({"packages_enabled": []}, {"error": "packages_enabled is invalid"}),
        ({"description": "x" * 2001}, {"error": "description is too long (maximum is 2000 characters)"}),
        ({"name": "a\0b"}, {"error": "name is invalid"}),
        ({"name": "Other"}, {"message": {"name": ["has already been taken"]}}),
        ({"path": "moved"}, {"message": {"path": ["cannot be changed"]}}),
    ],
)
async def test_a_bad_change_of_a_project_is_refused_with_its_reason(
    bare_registry: Registry, body: Any, expected: Any
) -> None:
    project = await bare_registry.add_project("app")
    await bare_registry.add_project("other")
    answer = await send(bare_registry, "PUT", f"{API}/{project.id}", body)
    assert (answer.status, answer.json) == (400, expected)


@pytest.mark.parametrize("query", ["order_by=size", "sort=up", "owned=x", "simple=x", "search=%00", "per_page=0"])
async def test_a_bad_question_for_projects_is_refused(bare_registry: Registry, query: str) -> None:
    await bare_registry.add_project("app")
    for url in (API, "/api/v4/groups/team/projects"):
        answer = await bare_registry.get(f"{url}?{query}")
        assert (answer.status, list(answer.json)) == (400, ["error"])


async def test_a_deleted_project_is_gone_at_once_and_its_path_is_free(registry: Registry) -> None:
    project = await registry.add_project("app", registry_access=RegistryAccess.PUBLIC)
    assert (await registry.upload(build_wheel("pkg", "1.0"), to=project.id)).status == 201
    assert (await send(registry, "DELETE", f"{API}/team%2Fapp")).status == 202
    assert (await registry.get(f"{registry.pypi_of(project.id)}/simple/pkg/")).status == 404
    assert (await registry.upload(build_wheel("pkg", "1.0"), to=project.id)).status == 404
    again = await registry.post_json(API, {"path": "app", "namespace_id": project.namespace.id})
    assert (again.status, again.json["id"] > project.id) == (201, True)
    await Sweep(registry.backends.store, registry.backends.queue)()
    assert await rows_of(registry, "SELECT status FROM package_files") == ["pending_destruction"]
    assert "project.deleted" in await audit_actions(registry)
