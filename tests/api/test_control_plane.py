"""Users, groups and projects in GitLab's shape, and an unmodified client of GitLab's API on top of them."""

import asyncio
import re
from typing import Any

import gitlab
import pytest

from shared.models import AccessLevel, Visibility
from tests.api.registry import ROOT_TOKEN, Registry

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TOO_LONG = {"path": "a", "description": "a" * 501}
NO_JSON = "message body does not match declared format"
UNAUTHORIZED = b'{"message":"401 Unauthorized"}'


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record without its instants, after a look at their form."""
    for name in ("created_at", "updated_at", "last_activity_at"):
        if name in record:
            assert INSTANT.fullmatch(record[name])
    return {name: value for name, value in record.items() if not name.endswith("_at")}


async def test_the_administrator_sees_himself(bare_registry: Registry) -> None:
    answer = await bare_registry.get("/api/v4/user")
    assert answer.status == 200
    assert timeless(answer.json) == {
        "id": 1,
        "username": "root",
        "public_email": "",
        "name": "Administrator",
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{bare_registry.url}/root",
        "bio": "",
        "bot": False,
        "email": "root@localhost",
        "commit_email": "root@localhost",
        "external": False,
        "namespace_id": 1,
        "can_create_group": True,
        "can_create_project": True,
        "two_factor_enabled": False,
        "identities": [],
        "is_admin": True,
    }


async def test_others_are_not_told_who_is_an_administrator(bare_registry: Registry) -> None:
    _, token = await bare_registry.add_user("someone")
    assert "is_admin" not in (await bare_registry.get("/api/v4/user", token=token)).json


@pytest.mark.parametrize("path", ["/api/v4/user", "/api/v4/version"])
async def test_a_token_that_may_only_tell_who_its_user_is_suffices_to_do_so(bare_registry: Registry, path: str) -> None:
    user, _ = await bare_registry.add_user("someone")
    await bare_registry.add_token(user, "glpat-user", scopes=("read_user",))
    assert (await bare_registry.get(path, token="glpat-user")).status == 200
    assert (await bare_registry.get("/api/v4/projects/1", token="glpat-user")).status == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v4/user"),
        ("GET", "/api/v4/version"),
        ("POST", "/api/v4/groups"),
        ("POST", "/api/v4/projects"),
    ],
)
@pytest.mark.parametrize("token", [None, "glpat-nobody"])
async def test_nobody_in_particular_is_told_to_sign_in(
    bare_registry: Registry, method: str, path: str, token: str | None
) -> None:
    answer = await bare_registry.ask(method, path, token=token)
    assert (answer.status, answer.body) == (401, UNAUTHORIZED)
    assert "www-authenticate" not in answer.headers


async def test_basic_credentials_count_on_the_pypi_routes_only(bare_registry: Registry) -> None:
    answer = await bare_registry.get("/api/v4/user", token=None, Authorization="Basic cm9vdDpnbHBhdA==")
    assert (answer.status, answer.body) == (401, UNAUTHORIZED)


async def test_a_group_is_made_in_gitlabs_shape(bare_registry: Registry) -> None:
    answer = await bare_registry.post_json(
        "/api/v4/groups", {"name": "The Team", "path": "team", "visibility": "public", "unknown": 1}
    )
    assert answer.status == 201
    group = timeless(answer.json)
    assert group == {
        "id": group["id"],
        "web_url": f"{bare_registry.url}/groups/team",
        "name": "The Team",
        "path": "team",
        "description": "",
        "visibility": "public",
        "share_with_group_lock": False,
        "require_two_factor_authentication": False,
        "project_creation_level": "developer",
        "subgroup_creation_level": "maintainer",
        "lfs_enabled": False,
        "request_access_enabled": True,
        "avatar_url": None,
        "full_name": "The Team",
        "full_path": "team",
        "parent_id": None,
        "shared_with_groups": [],
    }
    child = await bare_registry.post_json("/api/v4/groups", {"name": "Sub", "path": "sub", "parent_id": group["id"]})
    assert (child.status, child.json["full_path"], child.json["parent_id"]) == (201, "team/sub", group["id"])
    assert child.json["visibility"] == "private"


async def test_a_project_is_made_in_gitlabs_shape_and_found_again(bare_registry: Registry) -> None:
    answer = await bare_registry.post_json("/api/v4/projects", {"name": "My Tools", "description": "line\nline"})
    assert answer.status == 201
    made = answer.json
    project_url = f"{bare_registry.url}/api/v4/projects/{made['id']}"
    assert timeless(made) == {
        "id": made["id"],
        "description": "line\nline",
        "name": "My Tools",
        "name_with_namespace": "Administrator / My Tools",
        "path": "my-tools",
        "path_with_namespace": "root/my-tools",
        "default_branch": None,
        "tag_list": [],
        "topics": [],
        "web_url": f"{bare_registry.url}/root/my-tools",
        "readme_url": None,
        "avatar_url": None,
        "forks_count": 0,
        "star_count": 0,
        "namespace": {
            "id": 1,
            "name": "Administrator",
            "path": "root",
            "kind": "user",
            "full_path": "root",
            "parent_id": None,
            "avatar_url": None,
            "web_url": f"{bare_registry.url}/root",
        },
        "_links": {"self": project_url, "members": f"{project_url}/members"},
        "packages_enabled": True,
        "package_registry_access_level": "enabled",
        "empty_repo": True,
        "archived": False,
        "visibility": "private",
        "creator_id": 1,
    }
    for project in (made["id"], "root%2Fmy-tools", "ROOT%2fMy-Tools"):
        found = await bare_registry.get(f"/api/v4/projects/{project}")
        assert found.json == made | {
            "permissions": {
                "project_access": {"access_level": 50, "notification_level": 3},
                "group_access": None,
            }
        }


async def test_what_a_member_of_a_project_itself_may_do_in_it_is_told(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("tools", visibility=Visibility.PUBLIC)
    user, token = await bare_registry.add_user("developer")
    await bare_registry.add_member(project, user, AccessLevel.DEVELOPER)
    told = (await bare_registry.get(f"/api/v4/projects/{project.id}", token=token)).json
    assert told["permissions"] == {
        "project_access": {"access_level": 30, "notification_level": 3},
        "group_access": None,
    }
    assert "permissions" not in (await bare_registry.get(f"/api/v4/projects/{project.id}", token=None)).json


@pytest.mark.parametrize("project", ["99", "root", "root%2Fnone", "9" * 30, "root/none"])
async def test_a_project_that_is_none_is_not_found(bare_registry: Registry, project: str) -> None:
    answer = await bare_registry.get(f"/api/v4/projects/{project}")
    expected = b'{"error":"404 Not Found"}' if "/" in project else b'{"message":"404 Project Not Found"}'
    assert (answer.status, answer.body) == (404, expected)


async def test_a_private_project_is_not_found_by_strangers(bare_registry: Registry) -> None:
    _, token = await bare_registry.add_user("stranger")
    for credential in (None, token):
        answer = await bare_registry.get("/api/v4/projects/1", token=credential)
        assert (answer.status, answer.body) == (404, b'{"message":"404 Project Not Found"}')


@pytest.mark.parametrize("level", ["disabled", "private", "enabled", "public"])
async def test_the_registrys_access_level_is_kept(bare_registry: Registry, level: str) -> None:
    made = (
        await bare_registry.post_json("/api/v4/projects", {"path": "tools", "package_registry_access_level": level})
    ).json
    assert (made["package_registry_access_level"], made["packages_enabled"]) == (level, level != "disabled")


@pytest.mark.parametrize("value", [False, "false", "False", 0, "0"])
async def test_the_registry_is_switched_off_by_its_older_name_too(bare_registry: Registry, value: object) -> None:
    made = (await bare_registry.post_json("/api/v4/projects", {"path": "tools", "packages_enabled": value})).json
    assert made["package_registry_access_level"] == "disabled"


async def test_parameters_come_in_a_form_or_the_query_too(bare_registry: Registry) -> None:
    form = await bare_registry.ask("POST", "/api/v4/projects?visibility=public", data={"name": "One", "path": "one"})
    assert (form.status, form.json["path"], form.json["visibility"]) == (201, "one", "public")
    query = await bare_registry.ask("POST", "/api/v4/groups/?name=Two&path=two")
    assert (query.status, query.json["full_path"]) == (201, "two")


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("groups", {}, "name is missing, path is missing"),
        ("groups", {"name": None, "path": None}, "name is missing, path is missing"),
        ("groups", {"name": "", "path": " "}, "name is empty, path is empty"),
        ("groups", {"name": 1, "path": ["a"]}, "name is invalid, path is invalid"),
        ("groups", {"name": "a\u0000", "path": "a\nb"}, "name is invalid, path is invalid"),
        ("groups", {"name": "\ud800", "path": "a"}, "name is invalid"),
        ("groups", {"name": "a" * 256, "path": "a"}, "name is too long (maximum is 255 characters)"),
        (
            "groups",
            {"name": "a", "path": "a", "description": "a" * 501},
            "description is too long (maximum is 500 characters)",
        ),
        ("groups", {"name": "a", "path": "a", "visibility": "secret"}, "visibility does not have a valid value"),
        ("groups", {"name": "a", "path": "a", "visibility": ""}, "visibility does not have a valid value"),
        ("groups", {"name": "a", "path": "a", "parent_id": "x"}, "parent_id is invalid"),
        ("groups", {"name": "a", "path": "a", "parent_id": 1.5}, "parent_id is invalid"),
        ("groups", {"name": "a", "path": "a", "parent_id": True}, "parent_id is invalid"),
        ("groups", {"name": "a", "path": "a", "parent_id": 2**63}, "parent_id is invalid"),
        ("groups", {"name": "a", "path": "a", "parent_id": "9" * 30}, "parent_id is invalid"),
        ("groups", {"path": "a", "visibility": 1}, "name is missing, visibility does not have a valid value"),
        ("projects", {}, "name, path are missing, at least one parameter must be provided"),
        ("projects", {"description": "a"}, "name, path are missing, at least one parameter must be provided"),
        ("projects", {"name": "a", "packages_enabled": "perhaps"}, "packages_enabled is invalid"),
        (
            "projects",
            {"name": "a", "package_registry_access_level": "ajar"},
            "package_registry_access_level does not have a valid value",
        ),
    ],
)
async def test_what_is_wrong_with_parameters_is_told_as_gitlab_tells_it(
    bare_registry: Registry, path: str, body: object, error: str
) -> None:
    answer = await bare_registry.post_json(f"/api/v4/{path}", body)
    assert (answer.status, answer.body.decode()) == (400, f'{{"error":"{error}"}}')


@pytest.mark.parametrize(
    ("body", "content_type", "status", "error"),
    [
        (b"{", "application/json", 400, NO_JSON),
        (b"[]", "application/json", 400, NO_JSON),
        (b"\xff", "application/json", 400, NO_JSON),
        (b'{"name":NaN}', "application/json", 400, NO_JSON),
        (b'{"parent_id":' + b"1" * 5000 + b"}", "application/json", 400, NO_JSON),
        (b"[" * 200_000, "application/json", 400, NO_JSON),
        (
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            "application/json",
            400,
            "message body does not match declared format",
        ),
        (b"name=%ff", "application/x-www-form-urlencoded", 400, NO_JSON),
        (b"a&" * 2000, "application/x-www-form-urlencoded", 400, NO_JSON),
        (b'"' + b" " * 1024 * 1024 + b'"', "application/json", 413, "413 Request Entity Too Large"),
        (b"<a/>", "text/xml", 415, "The provided content-type 'text/xml' is not supported."),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    bare_registry: Registry, body: bytes, content_type: str, status: int, error: str
) -> None:
    answer = await bare_registry.ask("POST", "/api/v4/groups", data=body, Content_Type=content_type)
    assert (answer.status, answer.json) == (status, {"error": error})


@pytest.mark.parametrize("path", ["team", "TEAM", "root"])
async def test_a_path_that_is_taken_is_told_in_gitlabs_words(bare_registry: Registry, path: str) -> None:
    await bare_registry.post_json("/api/v4/groups", {"name": "Team", "path": "team"})
    answer = await bare_registry.post_json("/api/v4/groups", {"name": "Other", "path": path})
    assert answer.status == 400
    assert answer.json == {"message": 'Failed to save group {:path=>["has already been taken"]}'}


async def test_a_projects_path_that_is_taken_is_told_as_an_object(bare_registry: Registry) -> None:
    answer = await bare_registry.post_json("/api/v4/projects", {"name": "packages"})
    assert answer.status == 400
    taken = ["has already been taken"]
    assert answer.json == {"message": {"path": taken, "project_namespace.name": taken, "name": taken}}


async def test_a_project_in_somebody_elses_namespace_is_refused(bare_registry: Registry) -> None:
    _, token = await bare_registry.add_user("someone")
    answer = await bare_registry.post_json("/api/v4/projects", {"name": "a", "namespace_id": 1}, token=token)
    assert (answer.status, answer.body) == (400, b'{"message":{"namespace":["is not valid"]}}')


async def test_a_group_below_one_that_nobody_sees_is_refused(bare_registry: Registry) -> None:
    answer = await bare_registry.post_json("/api/v4/groups", {"name": "a", "path": "a", "parent_id": 999})
    assert (answer.status, answer.body) == (404, b'{"message":"404 Group Not Found"}')


async def test_the_version_is_told(bare_registry: Registry) -> None:
    answer = await bare_registry.get("/api/v4/version")
    assert answer.status == 200
    assert set(answer.json) == {"version", "revision"}


async def test_gitlabs_own_client_signs_in_and_makes_a_project(bare_registry: Registry) -> None:
    def use() -> tuple[str, str, str]:
        with gitlab.Gitlab(bare_registry.url, private_token=ROOT_TOKEN) as client:
            client.auth()
            assert client.user is not None
            group = client.groups.create({"name": "Team", "path": "team"})
            made = client.projects.create({"name": "tools", "namespace_id": group.id})
            found = client.projects.get("team/tools")
            assert found.id == made.id
            return client.user.username, found.path_with_namespace, client.version()[0]

    username, path, version = await asyncio.to_thread(use)
    assert (username, path) == ("root", "team/tools")
    assert version
