"""Who may yank what, and in which order that is checked."""

import json
from typing import Any

from shared.models import AccessLevel, PackageStatus, ProjectId, Visibility
from tests.api.published import audited, publish
from tests.api.registry import ROOT_TOKEN, Registry
from tests.api.test_yanks import delete, file_url, package_url, put

PRIVATE = Visibility.PRIVATE
NO_CONTENT = (204, b"")
NO_RECORD = (404, b'{"message":"404 Not found"}')
NO_FILE = (404, b'{"message":"404 Not Found"}')
FORBIDDEN = (403, b'{"message":"403 Forbidden"}')
NO_PROJECT = (404, b'{"message":"404 Project Not Found"}')
UNAUTHORIZED = (401, b'{"message":"401 Unauthorized"}')


async def test_checks_go_by_role_then_parameters_then_package_then_file(bare_registry: Registry) -> None:
    file = await publish(bare_registry)
    waiting = await publish(bare_registry, file_name="pkg-1.0-2-py3-none-any.whl", is_judged=False)
    other = await publish(bare_registry, version="2.0", file_name="pkg-2.0.tar.gz")
    elsewhere = await bare_registry.add_project("elsewhere")
    foreign = await publish(bare_registry, elsewhere.id)
    packages = f"/api/v4/projects/{file.project_id}/packages"
    developer, secret = await bare_registry.add_user("developer")
    async with bare_registry.backends.store.writing() as rows:
        project = await rows.tenants.project(ProjectId(file.project_id))
        assert project is not None
        await rows.tenants.add_project_member(project, developer.id, level=AccessLevel.DEVELOPER, expires_at=None)
    bad = {"reason": "a\nb"}
    both = (400, b'{"error":"package_id is invalid, package_file_id is invalid, reason is invalid"}')
    cases: dict[str, tuple[str, object, str, tuple[int, bytes]]] = {
        "role before all": (f"{packages}/x/package_files/y", bad, secret, FORBIDDEN),
        "role before package": (f"{packages}/999999", None, secret, FORBIDDEN),
        "parameters before package": (f"{packages}/999999", bad, ROOT_TOKEN, (400, b'{"error":"reason is invalid"}')),
        "all parameters": (f"{packages}/x/package_files/y", bad, ROOT_TOKEN, both),
        "no package": (f"{packages}/999999", None, ROOT_TOKEN, NO_RECORD),
        "no such number": (f"{packages}/{10**30}", None, ROOT_TOKEN, NO_RECORD),
        "negative": (f"{packages}/-1", None, ROOT_TOKEN, NO_RECORD),
        "other project": (f"{packages}/{foreign.package_id}", None, ROOT_TOKEN, NO_RECORD),
        "no package for file": (f"{packages}/999999/package_files/{file.id}", None, ROOT_TOKEN, NO_RECORD),
        "no file": (f"{package_url(file)}/package_files/999999", None, ROOT_TOKEN, NO_FILE),
        "file of another": (f"{package_url(file)}/package_files/{other.id}", None, ROOT_TOKEN, NO_FILE),
        "file in processing": (file_url(waiting), None, ROOT_TOKEN, NO_FILE),
    }
    for method in ("PUT", "DELETE"):
        found = {}
        for name, (url, body, token, _) in cases.items():
            query = "?reason=a%0Ab" if body else ""
            answer = await bare_registry.ask(method, f"{url}/yank{query}", token=token)
            found[name] = (answer.status, answer.body)
        expected = {name: told for name, (*_, told) in cases.items()}
        if method == "DELETE":  # which takes no reason
            expected["parameters before package"] = NO_RECORD
            expected["all parameters"] = (400, b'{"error":"package_id is invalid, package_file_id is invalid"}')
        assert found == expected
    assert not await audited(bare_registry, "package.yanked", "package_file.yanked")


async def test_what_installers_find_can_be_yanked_and_what_is_doomed_or_waits_cannot(bare_registry: Registry) -> None:
    allowed = {PackageStatus.DEFAULT, PackageStatus.HIDDEN, PackageStatus.DEPRECATED, PackageStatus.ERROR}
    for number, status in enumerate(PackageStatus):
        file = await publish(bare_registry, name=f"n{number}", status=status)
        for url in (package_url(file), file_url(file)):
            answer = await put(bare_registry, url)
            if status in allowed:
                assert (status, answer.status) == (status, 200)
                assert await delete(bare_registry, url) == NO_CONTENT
            else:
                assert (status, answer.status, answer.body) == (status, *NO_RECORD)
                assert await delete(bare_registry, url) == NO_RECORD


async def test_maintainers_yank_and_others_are_turned_away_as_from_a_delete(bare_registry: Registry) -> None:
    levels = {level.name: level for level in (AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER)}
    everybody: dict[str, str | None] = {"anonymous": None, "unknown": "glpat-nobody", "read_api": "glpat-only-reads"}
    projects = [await bare_registry.add_project(each, visibility=each) for each in (Visibility.PUBLIC, PRIVATE)]
    for name, level in levels.items():
        user, everybody[name] = await bare_registry.add_user(name.lower())
        for project in projects:
            await bare_registry.add_member(project, user, level)
    await bare_registry.add_token(user, "glpat-only-reads", scopes=("read_api",))
    found: dict[tuple[Visibility, str], tuple[Any, ...]] = {}
    for project in projects:
        file = await publish(bare_registry, project.id)
        for name, token in everybody.items():
            answers = [
                await bare_registry.ask(method, f"{url}/yank", token=token)
                for url in (package_url(file), file_url(file))
                for method in ("PUT", "DELETE")
            ]
            bodies = {b"" if answer.status == 200 else answer.body for answer in answers}
            found[project.visibility, name] = ([answer.status for answer in answers], *bodies)
    for visibility in (Visibility.PUBLIC, PRIVATE):
        status, body = FORBIDDEN if visibility is Visibility.PUBLIC else NO_PROJECT
        assert found[visibility, "anonymous"] == ([status] * 4, body)
        assert found[visibility, "unknown"] == ([401] * 4, UNAUTHORIZED[1])
        assert found[visibility, "DEVELOPER"] == ([403] * 4, FORBIDDEN[1])
        statuses, scope = found[visibility, "read_api"]
        assert (statuses, json.loads(scope)["error"]) == ([403] * 4, "insufficient_scope")
        for name in ("MAINTAINER", "OWNER"):
            assert found[visibility, name] == ([200, 204, 200, 204], b"")
