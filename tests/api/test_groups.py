"""Groups: listed, shown, changed and deleted, with the bodies that clients get."""

import json
from typing import Any

import pytest

from shared.models import AccessLevel, Namespace, RegistryAccess, Visibility
from shared.usecases.sweep import Sweep
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.distributions import build_wheel

API = "/api/v4/groups"
NOT_FOUND = b'{"message":"404 Group Not Found"}'
FORBIDDEN = b'{"message":"403 Forbidden"}'
UNAUTHORIZED = b'{"message":"401 Unauthorized"}'
ACCEPTED = b'{"message":"202 Accepted"}'


async def add_group(
    registry: Registry, path: str, *, parent: Namespace | None = None, visibility: Visibility = Visibility.PRIVATE
) -> Namespace:
    async with registry.backends.store.writing() as rows:
        return await rows.tenants.add_group(
            parent=parent, name=path.title(), path=path, description="", visibility=visibility
        )


async def join(registry: Registry, group: Namespace, username: str, level: AccessLevel) -> str:
    user, token = await registry.add_user(username)
    async with registry.backends.store.writing() as rows:
        await rows.tenants.add_namespace_member(group, user.id, level=level, expires_at=None)
    return token


async def send(
    registry: Registry, method: str, url: str, body: Any = None, *, token: str | None = ROOT_TOKEN
) -> Answer:
    data = None if body is None else json.dumps(body)
    return await registry.ask(method, url, token=token, data=data, Content_Type="application/json")


def paths(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [one["full_path"] for one in answer.json]


async def rows_of(registry: Registry, query: str) -> list[str]:
    return [str(row[0]) for row in await registry.rows(query)]


async def audit_actions(registry: Registry) -> list[str]:
    return await rows_of(registry, "SELECT action FROM audit_events ORDER BY id")


async def test_a_group_is_shown_whole_by_number_and_by_path(bare_registry: Registry) -> None:
    top = await add_group(bare_registry, "top", visibility=Visibility.PUBLIC)
    team = await add_group(bare_registry, "team", parent=top, visibility=Visibility.PUBLIC)
    answer = await bare_registry.get(f"{API}/{team.id}", token=None)
    assert (answer.status, answer.json) == (
        200,
        {
            "id": team.id,
            "web_url": f"{bare_registry.url}/groups/top/team",
            "name": "Team",
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
            "full_name": "top / Team",
            "full_path": "top/team",
            "created_at": answer.json["created_at"],
            "parent_id": top.id,
            "shared_with_groups": [],
            "pypi_package_requests_forwarding": None,
            "lock_pypi_package_requests_forwarding": False,
            "projects": [],
            "shared_projects": [],
        },
    )
    for path in ("top%2Fteam", "TOP%2fTeam", "top%2Fteam/"):
        assert (await bare_registry.get(f"{API}/{path}", token=None)).body == answer.body
    short = await bare_registry.get(f"{API}/top%2Fteam?with_projects=False", token=None)
    assert "projects" not in short.json


@pytest.mark.parametrize("group", ["99", "0", "-1", "9" * 19, "9" * 40, "none", "top%2Fnone", "a%00b", "root", "%20"])
@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("PUT", 404), ("DELETE", 404)])
async def test_an_unknown_group_is_not_found(bare_registry: Registry, group: str, method: str, status: int) -> None:
    answer = await send(bare_registry, method, f"{API}/{group}", {} if method == "PUT" else None)
    assert (answer.status, answer.body) == (status, NOT_FOUND)


async def test_who_may_see_change_and_delete_a_private_group(bare_registry: Registry) -> None:
    group = await add_group(bare_registry, "team")
    maintainer = await join(bare_registry, group, "maintainer", AccessLevel.MAINTAINER)
    guest = await join(bare_registry, group, "guest", AccessLevel.GUEST)
    _, stranger = await bare_registry.add_user("stranger")
    url = f"{API}/{group.id}"
    for method, body in (("PUT", {"name": "x"}), ("DELETE", None)):
        for token, status, text in (
            (None, 401, UNAUTHORIZED),
            (stranger, 404, NOT_FOUND),
            (guest, 403, FORBIDDEN),
            (maintainer, 403, FORBIDDEN),
        ):
            answer = await send(bare_registry, method, url, body, token=token)
            assert (answer.status, answer.body) == (status, text)
    for token, status in ((None, 404), (stranger, 404), (guest, 200), (ROOT_TOKEN, 200)):
        assert (await bare_registry.get(url, token=token)).status == status
    for rest in ("/subgroups", "/descendant_groups", "/projects"):
        assert (await bare_registry.get(url + rest, token=stranger)).body == NOT_FOUND


async def test_a_member_of_only_a_project_below_a_private_group_can_read_the_group(bare_registry: Registry) -> None:
    async with bare_registry.backends.store.writing() as rows:
        top = await rows.tenants.add_group(
            parent=None, name="Top", path="top", description="", visibility=Visibility.PRIVATE
        )
        team = await rows.tenants.add_group(
            parent=top, name="Team", path="team", description="", visibility=Visibility.PRIVATE
        )
        project, other = [
            await rows.tenants.add_project(
                namespace=team,
                name=path,
                path=path,
                description="",
                visibility=Visibility.PRIVATE,
                registry_access=RegistryAccess.ENABLED,
                creator_id=None,
            )
            for path in ("mine", "other")
        ]
    user, token = await bare_registry.add_user("someone")
    assert (await bare_registry.get(f"{API}/top", token=token)).status == 404
    await bare_registry.add_member(project, user, AccessLevel.GUEST)
    assert (await bare_registry.get(f"{API}/top", token=token)).status == 200
    assert paths(await bare_registry.get(API, token=token)) == ["top/team", "top"]
    listed = await bare_registry.get(f"{API}/top/projects?include_subgroups=True", token=token)
    assert [one["id"] for one in listed.json] == [project.id]
    assert listed.json[0]["permissions"] == {
        "project_access": {"access_level": 10, "notification_level": 3},
        "group_access": None,
    }
    assert (await bare_registry.get(f"/api/v4/projects/{other.id}", token=token)).status == 404


async def test_groups_are_listed_as_far_as_the_caller_belongs_to_them(bare_registry: Registry) -> None:
    public = await add_group(bare_registry, "public", visibility=Visibility.PUBLIC)
    await add_group(bare_registry, "internal", visibility=Visibility.INTERNAL)
    private = await add_group(bare_registry, "private")
    await add_group(bare_registry, "sub", parent=private)
    token = await join(bare_registry, private, "owner", AccessLevel.OWNER)

    async def listed(query: str, *, token: str | None = token) -> list[str]:
        return paths(await bare_registry.get(f"{API}?{query}", token=token))

    assert await listed("", token=None) == ["public"]
    assert await listed("all_available=true", token=None) == ["public"]
    assert await listed("owned=true", token=None) == []
    assert await listed("") == ["private", "private/sub"]
    assert await listed("all_available=True") == ["internal", "private", "public", "private/sub"]
    assert await listed("", token=ROOT_TOKEN) == ["internal", "private", "public", "private/sub"]
    assert await listed("owned=True", token=ROOT_TOKEN) == []
    assert await listed("owned=1&top_level_only=true") == ["private"]
    assert await listed("min_access_level=40&sort=desc") == ["private/sub", "private"]
    assert await listed("min_access_level=50&search=sub") == ["private/sub"]
    assert await listed("all_available=true&visibility=public") == ["public"]
    skipped = f"all_available=true&skip_groups[]={public.id}&skip_groups[]={private.id}&order_by=id"
    assert await listed(skipped) == ["internal", "private/sub"]
    assert await listed(f"all_available=true&skip_groups={public.id},{private.id}&order_by=path") == [
        "internal",
        "private/sub",
    ]


async def test_a_list_of_groups_is_paged_and_its_links_carry_all_parameters(bare_registry: Registry) -> None:
    groups = [await add_group(bare_registry, f"g{number}", visibility=Visibility.PUBLIC) for number in range(4)]
    answer = await bare_registry.get(f"{API}?per_page=2&skip_groups[]={groups[0].id}&skip_groups[]=77", token=None)
    assert paths(answer) == ["g1", "g2"]
    url = f"{bare_registry.url}{API}?order_by=name&owned=false&page={{}}&per_page=2"
    url += f"&skip_groups%5B%5D={groups[0].id}&skip_groups%5B%5D=77&sort=asc&statistics=false"
    assert answer.headers["link"] == ", ".join(
        f'<{url.format(page)}>; rel="{relation}"' for page, relation in ((2, "next"), (1, "first"), (2, "last"))
    )
    assert (answer.headers["x-total"], answer.headers["x-next-page"]) == ("3", "2")
    following = await bare_registry.get(url.format(2), token=None)
    assert paths(following) == ["g3"]


async def test_subgroups_are_children_and_descendants_all(bare_registry: Registry) -> None:
    top = await add_group(bare_registry, "top", visibility=Visibility.PUBLIC)
    open_one = await add_group(bare_registry, "open", parent=top, visibility=Visibility.PUBLIC)
    await add_group(bare_registry, "deep", parent=open_one, visibility=Visibility.PUBLIC)
    await add_group(bare_registry, "closed", parent=top)
    member = await join(bare_registry, top, "member", AccessLevel.GUEST)
    _, stranger = await bare_registry.add_user("stranger")
    for token, rest, expected in (
        (None, "subgroups", ["top/open"]),
        (None, "descendant_groups", ["top/open/deep", "top/open"]),
        (ROOT_TOKEN, "subgroups", ["top/closed", "top/open"]),
        (ROOT_TOKEN, "descendant_groups?search=d&order_by=id", ["top/open/deep", "top/closed"]),
        (member, "subgroups", ["top/closed", "top/open"]),
        (stranger, "subgroups", []),
        (stranger, "descendant_groups", []),
        (stranger, "subgroups?all_available=true", ["top/open"]),
    ):
        assert paths(await bare_registry.get(f"{API}/top/{rest}", token=token)) == expected


async def test_an_owner_changes_a_group(bare_registry: Registry) -> None:
    group = await add_group(bare_registry, "team")
    token = await join(bare_registry, group, "owner", AccessLevel.OWNER)
    body = {
        "name": "The team",
        "description": "us",
        "visibility": "internal",
        "path": "team",
        "pypi_package_requests_forwarding": False,
        "lock_pypi_package_requests_forwarding": True,
        "unknown": "ignored",
    }
    answer = await send(bare_registry, "PUT", f"{API}/team", body, token=token)
    assert answer.status == 200
    for key in body.keys() - {"unknown"}:
        assert answer.json[key] == body[key]
    shown = await bare_registry.get(f"{API}/team?with_projects=false", token=token)
    assert shown.body == answer.body
    reset = await send(bare_registry, "PUT", f"{API}/team", {"pypi_package_requests_forwarding": None}, token=token)
    assert reset.json["pypi_package_requests_forwarding"] is None
    assert (await audit_actions(bare_registry))[-2:] == ["group.changed", "group.changed"]


async def test_what_the_instance_has_locked_no_group_decides(bare_registry: Registry) -> None:
    await add_group(bare_registry, "team")
    setting = "/api/v4/application/settings?lock_pypi_package_requests_forwarding=true"
    assert (await bare_registry.ask("PUT", setting)).status == 200
    refused = await send(bare_registry, "PUT", f"{API}/team", {"pypi_package_requests_forwarding": True})
    problem = ["cannot be changed because it is locked by an ancestor"]
    assert (refused.status, refused.json) == (400, {"message": {"pypi_package_requests_forwarding": problem}})
    assert (await send(bare_registry, "PUT", f"{API}/team", {"description": "us"})).status == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"path": "moved"}, {"message": {"path": ["cannot be changed"]}}),
        (
            {"visibility": "private"},
            {
                "message": {
                    "visibility_level": ["private is not allowed since there are sub-groups with higher visibility."]
                }
            },
        ),
        ({"visibility": "secret"}, {"error": "visibility does not have a valid value"}),
        ({"name": ""}, {"error": "name is empty"}),
        ({"name": 7, "description": []}, {"error": "name is invalid, description is invalid"}),
        ({"name": "x" * 256}, {"error": "name is too long (maximum is 255 characters)"}),
        ({"name": "a\0b"}, {"error": "name is invalid"}),
        (
            {"lock_pypi_package_requests_forwarding": "maybe"},
            {"error": "lock_pypi_package_requests_forwarding is invalid"},
        ),
        ([], {"error": "message body does not match declared format"}),
    ],
)
async def test_a_bad_change_of_a_group_is_refused_with_its_reason(
    bare_registry: Registry, body: Any, expected: Any
) -> None:
    group = await add_group(bare_registry, "team", visibility=Visibility.PUBLIC)
    await add_group(bare_registry, "sub", parent=group, visibility=Visibility.PUBLIC)
    answer = await send(bare_registry, "PUT", f"{API}/team", body)
    assert (answer.status, answer.json) == (400, expected)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("order_by=size", "order_by does not have a valid value"),
        ("sort=up", "sort does not have a valid value"),
        ("sort=", "sort does not have a valid value"),
        ("visibility=secret", "visibility does not have a valid value"),
        ("owned=maybe", "owned is invalid"),
        ("min_access_level=7", "min_access_level does not have a valid value"),
        ("min_access_level=x", "min_access_level is invalid"),
        ("skip_groups=1,x", "skip_groups is invalid"),
        ("skip_groups[]=99999999999999999999", "skip_groups is invalid"),
        ("search=a%00b", "search is invalid"),
        ("search=" + "x" * 256, "search is too long (maximum is 255 characters)"),
        ("page=x", "page is invalid"),
    ],
)
async def test_a_bad_question_for_groups_is_refused(bare_registry: Registry, query: str, problem: str) -> None:
    await add_group(bare_registry, "team", visibility=Visibility.PUBLIC)
    for url in (API, f"{API}/team/subgroups"):
        answer = await bare_registry.get(f"{url}?{query}", token=None)
        assert (answer.status, answer.json) == (400, {"error": problem})


async def test_deep_json_is_no_change(bare_registry: Registry) -> None:
    await add_group(bare_registry, "team")
    body = '{"name":' + "[" * 100_000 + "]" * 100_000 + "}"
    answer = await bare_registry.ask("PUT", f"{API}/team", data=body, Content_Type="application/json")
    assert (answer.status, list(answer.json)) == (400, ["error"])


async def test_a_deleted_group_is_gone_at_once_and_its_packages_soon(registry: Registry) -> None:
    project = await registry.add_project("app")
    token = await join(registry, project.namespace, "owner", AccessLevel.OWNER)
    assert (await registry.upload(build_wheel("pkg", "1.0"), token=token, to=project.id)).status == 201
    answer = await send(registry, "DELETE", f"{API}/team", token=token)
    assert (answer.status, answer.body) == (202, ACCEPTED)
    for url in (f"{API}/{project.namespace.id}", f"{API}/team"):
        assert (await registry.get(url)).body == NOT_FOUND
    assert (await registry.get(f"/api/v4/projects/{project.id}")).status == 404
    assert (await registry.get(f"{registry.pypi_of(project.id)}/simple/pkg/")).status == 404
    assert (await send(registry, "DELETE", f"{API}/{project.namespace.id}")).body == NOT_FOUND
    again = await registry.post_json(API, {"name": "Team", "path": "team"})
    assert again.status == 201
    assert again.json["id"] > project.namespace.id
    assert "group.deleted" in await audit_actions(registry)
    await Sweep(registry.backends.store, registry.backends.queue)()
    assert await rows_of(registry, "SELECT status FROM packages") == ["pending_destruction"]
    assert await rows_of(registry, "SELECT status FROM package_files") == ["pending_destruction"]


async def test_whether_somebody_may_add_a_subgroup_is_told_before_what_is_wrong_with_it(
    bare_registry: Registry,
) -> None:
    hidden = await add_group(bare_registry, "hidden")
    below = await add_group(bare_registry, "below", parent=hidden)
    seen = await add_group(bare_registry, "seen", visibility=Visibility.PUBLIC)
    _, stranger = await bare_registry.add_user("stranger")
    below_only = await join(bare_registry, below, "below", AccessLevel.OWNER)
    for token, parent, told in (
        (stranger, hidden, (404, NOT_FOUND)),
        (stranger, seen, (403, FORBIDDEN)),
        (below_only, hidden, (403, FORBIDDEN)),
    ):
        for path in ("fine", "-bad"):
            answer = await send(
                bare_registry, "POST", API, {"name": "x", "path": path, "parent_id": parent.id}, token=token
            )
            assert (answer.status, answer.body) == told, (path, parent.path)
