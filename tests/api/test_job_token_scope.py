"""Whose jobs a project lets in, over HTTP."""

import json
from typing import Any

import pytest

from shared.models import AccessLevel, Namespace, Visibility
from tests.api.jobs import patch_json
from tests.api.registry import Answer, Registry

MAINTAINER = AccessLevel.MAINTAINER
FORBIDDEN = b'{"message":"403 Forbidden"}'
NO_PROJECT = b'{"message":"404 Project Not Found"}'
NO_GROUP = b'{"message":"404 Group Not Found"}'
UNAUTHORIZED = b'{"message":"401 Unauthorized"}'


def refused(reason: str) -> bytes:
    return f'{{"message":"400 Bad request - {reason}"}}'.encode()


def wrong(problem: str) -> bytes:
    return f'{{"error":"{problem}"}}'.encode()


def scope_of(project_id: int) -> str:
    return f"/api/v4/projects/{project_id}/job_token_scope"


def seen(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


async def told(registry: Registry) -> list[tuple[Any, ...]]:
    found = await registry.rows(
        "SELECT action, target, details FROM audit_events WHERE action LIKE 'job_token_scope.%' ORDER BY id"
    )
    return [(action, target, json.loads(details).get("target")) for action, target, details in found]


async def add_group(
    registry: Registry, path: str, *, parent: Namespace | None = None, visibility: Visibility = Visibility.PRIVATE
) -> Namespace:
    async with registry.backends.store.writing() as rows:
        return await rows.tenants.add_group(
            parent=parent, name=path.title(), path=path, description="", visibility=visibility
        )


async def test_a_new_project_lets_in_no_jobs_but_its_own(bare_registry: Registry) -> None:
    made = (await bare_registry.post_json("/api/v4/projects", {"name": "app"})).json
    scope = await bare_registry.get(scope_of(made["id"]))
    assert seen(scope) == (200, b'{"inbound_enabled":true,"outbound_enabled":false}')
    projects = await bare_registry.get(f"{scope_of(made['id'])}/allowlist")
    assert [one["id"] for one in projects.json] == [made["id"]]
    assert (projects.headers["x-total"], projects.headers["x-next-page"]) == ("1", "")
    assert seen(await bare_registry.get(f"{scope_of(made['id'])}/groups_allowlist")) == (200, b"[]")


async def test_the_list_is_switched_off_and_on(bare_registry: Registry) -> None:
    project = await bare_registry.add_project("app")
    url = scope_of(project.id)
    for wish, is_enabled in ((False, b"false"), (False, b"false"), ("true", b"true"), (0, b"false"), (True, b"true")):
        assert seen(await patch_json(bare_registry, url, {"enabled": wish})) == (204, b"")
        shown = await bare_registry.get("/api/v4/projects/team%2Fapp/job_token_scope")
        assert shown.body == b'{"inbound_enabled":%s,"outbound_enabled":false}' % is_enabled
    for body, problem in (
        ({}, "enabled is missing"),
        ({"enabled": None}, "enabled is missing"),
        ({"enabled": "perhaps"}, "enabled is invalid"),
        ({"enabled": []}, "enabled is invalid"),
    ):
        assert seen(await patch_json(bare_registry, url, body)) == (400, wrong(problem))
    assert [action for action, _, _ in await told(bare_registry)] == [
        "job_token_scope.disabled",
        "job_token_scope.enabled",
        "job_token_scope.disabled",
        "job_token_scope.enabled",
    ]


async def test_projects_are_put_on_the_list_and_taken_from_it(bare_registry: Registry) -> None:
    project, other = await bare_registry.add_project("app"), await bare_registry.add_project("lib")
    url = f"{scope_of(project.id)}/allowlist"
    added = await bare_registry.post_json(url, {"target_project_id": other.id})
    assert added.status == 201
    assert added.json == {"source_project_id": project.id, "target_project_id": other.id}
    listed = (await bare_registry.get(f"{url}?per_page=1&page=2")).json
    simple = (await bare_registry.get("/api/v4/projects?simple=true&search=lib")).json
    assert listed == simple
    there = (400, refused("Target project is already in the job token scope"))
    not_there = (400, refused("Target project is not in the job token scope"))
    assert seen(await bare_registry.post_json(url, {"target_project_id": str(other.id)})) == there
    assert seen(await bare_registry.post_json(url, {"target_project_id": project.id})) == there
    itself = (400, refused("Source project cannot be removed from the job token scope"))
    assert seen(await bare_registry.ask("DELETE", f"{url}/{project.id}")) == itself
    assert seen(await bare_registry.ask("DELETE", f"{url}/{other.id}")) == (204, b"")
    assert seen(await bare_registry.ask("DELETE", f"{url}/{other.id}")) == not_there
    assert [one["id"] for one in (await bare_registry.get(url)).json] == [project.id]
    assert await told(bare_registry) == [
        ("job_token_scope.added", f"project:{project.id}", f"project:{other.id}"),
        ("job_token_scope.removed", f"project:{project.id}", f"project:{other.id}"),
    ]


async def test_groups_are_put_on_the_list_and_taken_from_it(bare_registry: Registry) -> None:
    project, group = await bare_registry.add_project("app"), await add_group(bare_registry, "lab")
    sub = await add_group(bare_registry, "sub", parent=group)
    url = f"{scope_of(project.id)}/groups_allowlist"
    for one in (sub, group):
        added = await bare_registry.post_json(url, {"target_group_id": one.id})
        assert (added.status, added.json) == (201, {"source_project_id": project.id, "target_group_id": one.id})
    assert (await bare_registry.get(url)).json == [
        {"id": group.id, "web_url": f"{bare_registry.url}/groups/lab", "name": "Lab"},
        {"id": sub.id, "web_url": f"{bare_registry.url}/groups/lab/sub", "name": "Sub"},
    ]
    there = (400, refused("Target group is already in the job token scope"))
    not_there = (400, refused("Target group is not in the job token scope"))
    assert seen(await bare_registry.post_json(url, {"target_group_id": group.id})) == there
    assert seen(await bare_registry.ask("DELETE", f"{url}/{group.id}")) == (204, b"")
    assert seen(await bare_registry.ask("DELETE", f"{url}/{group.id}")) == not_there
    assert [one["id"] for one in (await bare_registry.get(url)).json] == [sub.id]
    assert [target for _, _, target in await told(bare_registry)] == [f"group:{one.id}" for one in (sub, group, group)]


async def test_what_the_caller_cannot_see_is_not_let_in(bare_registry: Registry) -> None:
    project, hidden = await bare_registry.add_project("app"), await bare_registry.add_project("hidden")
    seen_too = await bare_registry.add_project("open", visibility=Visibility.INTERNAL)
    group, open_group = (
        await add_group(bare_registry, "lab"),
        await add_group(bare_registry, "lobby", visibility=Visibility.PUBLIC),
    )
    ada, token = await bare_registry.add_user("ada")
    await bare_registry.add_member(project, ada, MAINTAINER)
    projects, groups = f"{scope_of(project.id)}/allowlist", f"{scope_of(project.id)}/groups_allowlist"
    for target_id in (hidden.id, 999, 0, -1, 2**63 - 1):
        answer = await bare_registry.post_json(projects, {"target_project_id": target_id}, token=token)
        assert seen(answer) == (404, NO_PROJECT)
        assert seen(await bare_registry.ask("DELETE", f"{projects}/{target_id}", token=token)) == (404, NO_PROJECT)
    for target_id in (group.id, ada.namespace_id, 999, 0, -1):
        answer = await bare_registry.post_json(groups, {"target_group_id": target_id}, token=token)
        assert seen(answer) == (404, NO_GROUP)
        assert seen(await bare_registry.ask("DELETE", f"{groups}/{target_id}", token=token)) == (404, NO_GROUP)
    for url, name, target_id in (
        (projects, "target_project_id", seen_too.id),
        (groups, "target_group_id", open_group.id),
    ):
        assert (await bare_registry.post_json(url, {name: target_id}, token=token)).status == 201
        for wish, problem in ((None, "is missing"), ("x", "is invalid"), ([], "is invalid"), (True, "is invalid")):
            answer = await bare_registry.post_json(url, {name: wish}, token=token)
            assert seen(answer) == (400, wrong(f"{name} {problem}"))
        assert seen(await bare_registry.post_json(url, {}, token=token)) == (400, wrong(f"{name} is missing"))
        answer = await bare_registry.ask("DELETE", f"{url}/x", token=token)
        assert seen(answer) == (400, wrong(f"{name} is invalid"))


async def test_who_maintains_a_project_sees_and_removes_what_others_let_in(bare_registry: Registry) -> None:
    project, hidden = await bare_registry.add_project("app"), await bare_registry.add_project("hidden")
    group = await add_group(bare_registry, "lab")
    ada, token = await bare_registry.add_user("ada")
    await bare_registry.add_member(project, ada, MAINTAINER)
    scope = scope_of(project.id)
    for url, name, target_id in (
        (f"{scope}/allowlist", "target_project_id", hidden.id),
        (f"{scope}/groups_allowlist", "target_group_id", group.id),
    ):
        assert (await bare_registry.post_json(url, {name: target_id})).status == 201
        assert target_id in [one["id"] for one in (await bare_registry.get(url, token=token)).json]
        assert (await bare_registry.ask("DELETE", f"{url}/{target_id}", token=token)).status == 204
        assert (await bare_registry.ask("DELETE", f"{url}/{target_id}", token=token)).status == 404


async def test_a_deleted_project_is_on_no_list(bare_registry: Registry) -> None:
    project, other = await bare_registry.add_project("app"), await bare_registry.add_project("lib")
    url = f"{scope_of(project.id)}/allowlist"
    await bare_registry.post_json(url, {"target_project_id": other.id})
    assert (await bare_registry.ask("DELETE", f"/api/v4/projects/{other.id}")).status == 202
    assert [one["id"] for one in (await bare_registry.get(url)).json] == [project.id]
    assert (await bare_registry.post_json(url, {"target_project_id": other.id})).status == 404
    assert (await bare_registry.ask("DELETE", f"/api/v4/projects/{project.id}")).status == 202
    assert seen(await bare_registry.get(url)) == (404, NO_PROJECT)


@pytest.mark.parametrize(
    ("level", "status", "body"),
    [
        (MAINTAINER, None, None),
        (AccessLevel.DEVELOPER, 403, FORBIDDEN),
        ("stranger", 404, NO_PROJECT),
        ("nobody", 401, UNAUTHORIZED),
    ],
)
async def test_it_takes_a_maintainer(
    bare_registry: Registry, level: AccessLevel | str, status: int | None, body: bytes | None
) -> None:
    project = await bare_registry.add_project("app")
    group = await add_group(bare_registry, "lobby", visibility=Visibility.PUBLIC)
    lib = await bare_registry.add_project("lib", visibility=Visibility.PUBLIC)
    user, own = await bare_registry.add_user("somebody")
    token = None if level == "nobody" else own
    if isinstance(level, AccessLevel):
        await bare_registry.add_member(project, user, level)
    url = scope_of(project.id)
    post, ask = bare_registry.post_json, bare_registry.ask
    answers = [
        (await bare_registry.get(url, token=token), 200),
        (await patch_json(bare_registry, url, {"enabled": True}, token=token), 204),
        (await bare_registry.get(f"{url}/allowlist", token=token), 200),
        (await post(f"{url}/allowlist", {"target_project_id": lib.id}, token=token), 201),
        (await ask("DELETE", f"{url}/allowlist/{lib.id}", token=token), 204),
        (await bare_registry.get(f"{url}/groups_allowlist", token=token), 200),
        (await post(f"{url}/groups_allowlist", {"target_group_id": group.id}, token=token), 201),
        (await ask("DELETE", f"{url}/groups_allowlist/{group.id}", token=token), 204),
    ]
    for answer, good in answers:
        assert answer.status == (status or good)
        if body is not None:
            assert answer.body == body
