"""What is uploaded with the token of a CI job is linked to the job's pipeline."""

import asyncio
import json

import aiohttp
import gitlab
import pytest

from shared.models import AccessLevel, Project
from tests.api.jobs import basic, begin
from tests.api.registry import Answer, Registry
from tests.distributions import build_sdist, build_wheel, sdist_file_name
from tests.waiting import eventually

WHEEL, SDIST = build_wheel("pkg", "1.0"), build_sdist("pkg", "1.0")
WHEEL_NAME, SDIST_NAME = "pkg-1.0-py3-none-any.whl", sdist_file_name("pkg", "1.0")
LINKS = """
    SELECT p.name || ' ' || p.version, f.file_name, l.project_id, l.number
    FROM (SELECT b.*, n.project_id, n.number FROM build_links b JOIN pipelines n ON n.id = b.pipeline_id) l
    JOIN packages p ON p.id = l.package_id LEFT JOIN package_files f ON f.id = l.package_file_id
    ORDER BY l.id
"""


async def upload(
    registry: Registry, project: Project, job: str, content: bytes, file_name: str, *, version: str = "1.0"
) -> Answer:
    form = aiohttp.FormData(default_to_multipart=True, quote_fields=False)
    form.add_field("name", "pkg")
    form.add_field("version", version)
    form.add_field("content", content, filename=file_name)
    url = registry.pypi_of(project.id)
    return await registry.ask("POST", url, token=None, data=form, Authorization=basic(job))


async def test_a_package_is_linked_once_to_a_pipeline_and_each_file_that_it_brought(registry: Registry) -> None:
    project = await registry.add_project("app")
    ada, _ = await registry.add_user("ada")
    await registry.add_member(project, ada, AccessLevel.DEVELOPER)
    seven, eight = await begin(registry, project, ada, id=7), await begin(registry, project, ada, id=8)
    again = await begin(registry, project, ada, id=7, status="success")
    assert (await upload(registry, project, seven, WHEEL, WHEEL_NAME)).status == 201
    assert (await upload(registry, project, again, SDIST, SDIST_NAME)).status == 201
    linked = [
        ("pkg 1.0", None, project.id, 7),
        ("pkg 1.0", WHEEL_NAME, project.id, 7),
        ("pkg 1.0", SDIST_NAME, project.id, 7),
    ]
    assert await registry.rows(LINKS) == linked
    # The very same bytes are there already: nothing changes, so the pipeline that brought them stays the only one.
    assert (await upload(registry, project, eight, WHEEL, WHEEL_NAME)).status == 201
    assert await registry.rows(LINKS) == linked
    newer = build_wheel("pkg", "2.0")
    assert (await upload(registry, project, eight, newer, "pkg-2.0-py3-none-any.whl", version="2.0")).status == 201
    assert (await registry.rows(LINKS))[3:] == [
        ("pkg 2.0", None, project.id, 8),
        ("pkg 2.0", "pkg-2.0-py3-none-any.whl", project.id, 8),
    ]
    assert await registry.rows("SELECT DISTINCT creator_id FROM packages") == [(ada.id,)]
    tokens = await registry.rows("SELECT id FROM access_tokens WHERE kind = 'job' ORDER BY id")
    uploaders = await registry.rows("SELECT uploader_kind, uploader_id, token_id FROM package_files ORDER BY id")
    assert uploaders[:2] == [("job", tokens[0][0], tokens[0][0]), ("job", tokens[2][0], tokens[2][0])]
    actors = await registry.rows("SELECT actor FROM audit_events WHERE action = 'package_file.uploaded' ORDER BY id")
    assert actors[:2] == [(f"job_token:{tokens[0][0]}",), (f"job_token:{tokens[2][0]}",)]


async def test_a_job_that_publishes_elsewhere_leaves_its_own_projects_pipeline(registry: Registry) -> None:
    source, target = await registry.add_project("source"), await registry.add_project("target")
    ada, _ = await registry.add_user("ada")
    await registry.add_member(target, ada, AccessLevel.DEVELOPER)
    job = await begin(registry, source, ada)
    assert (await upload(registry, target, job, WHEEL, WHEEL_NAME)).status == 404
    url = f"/api/v4/projects/{target.id}/job_token_scope/allowlist"
    assert (await registry.post_json(url, {"target_project_id": source.id})).status == 201
    assert (await upload(registry, target, job, WHEEL, WHEEL_NAME)).status == 201
    assert await registry.rows(LINKS) == [("pkg 1.0", None, source.id, 7), ("pkg 1.0", WHEEL_NAME, source.id, 7)]


async def test_what_users_upload_and_what_is_refused_is_linked_to_nothing(registry: Registry) -> None:
    project = await registry.add_project("app")
    job = await begin(registry, project)
    assert (await registry.upload(WHEEL, to=project.id)).status == 201
    broken = await upload(registry, project, job, SDIST[:-20], SDIST_NAME)
    taken = await upload(registry, project, job, build_wheel("pkg", "1.0", extra_files={"a": b"b"}), WHEEL_NAME)
    for refused in (broken, taken):
        assert refused.status == 400
        assert json.loads(refused.body)["message"].startswith("400 Bad request - Validation failed: ")
    assert await registry.rows(LINKS) == []
    assert len(await registry.rows("SELECT id FROM package_files")) == 1


async def test_what_a_job_built_a_job_deletes_as_its_user_may_and_no_link_is_left(registry: Registry) -> None:
    project = await registry.add_project("app")
    jobs = {}
    for level in (AccessLevel.DEVELOPER, AccessLevel.MAINTAINER):
        user, _ = await registry.add_user(level.name.lower())
        await registry.add_member(project, user, level)
        jobs[level] = await begin(registry, project, user)
    for content, name in ((WHEEL, WHEEL_NAME), (SDIST, SDIST_NAME)):
        assert (await upload(registry, project, jobs[AccessLevel.DEVELOPER], content, name)).status == 201
    ((package_id, wheel_id),) = await registry.rows("SELECT package_id, min(id) FROM package_files GROUP BY package_id")
    package = f"/api/v4/projects/{project.id}/packages/{package_id}"
    wheel = f"{package}/package_files/{wheel_id}"

    async def delete(url: str, level: AccessLevel) -> int:
        return (await registry.ask("DELETE", url, token=None, JOB_TOKEN=jobs[level])).status

    async def is_linked_only(*expected: tuple[str, str | None, int, int]) -> bool:
        return await registry.rows(LINKS) == [*expected]

    assert await delete(wheel, AccessLevel.DEVELOPER) == await delete(package, AccessLevel.DEVELOPER) == 403
    assert await delete(wheel, AccessLevel.MAINTAINER) == 204
    left = (("pkg 1.0", None, project.id, 7), ("pkg 1.0", SDIST_NAME, project.id, 7))
    await eventually(lambda: is_linked_only(*left), what="the wheel has gone", timeout_seconds=60)
    assert await delete(package, AccessLevel.MAINTAINER) == 204
    await eventually(is_linked_only, what="the package has gone", timeout_seconds=60)


async def test_python_gitlab_signs_in_as_a_job_and_sees_what_it_built(registry: Registry) -> None:
    project, other = await registry.add_project("app"), await registry.add_project("other")
    ada, _ = await registry.add_user("ada")
    for one in (project, other):
        await registry.add_member(one, ada, AccessLevel.DEVELOPER)
    job = await begin(registry, project, ada, id=7, ref="main", status="running")
    for content, name in ((WHEEL, WHEEL_NAME), (SDIST, SDIST_NAME)):
        assert (await upload(registry, project, job, content, name)).status == 201

    def look() -> None:
        with gitlab.Gitlab(registry.url, job_token=job) as client:
            (package,) = client.projects.get(project.id, lazy=True).packages.list(get_all=True)
            assert (package.pipeline["id"], package.pipeline["user"]["username"]) == (7, "ada")
            (pipeline,) = package.pipelines.list(get_all=True)
            assert (pipeline.id, pipeline.ref, pipeline.status) == (7, "main", "running")
            files = package.package_files.list(get_all=True)
            assert [[one["id"] for one in file.pipelines] for file in files] == [[7], [7]]
            with pytest.raises(gitlab.GitlabListError, match="not allowed from app to other") as refused:
                client.projects.get(other.id, lazy=True).packages.list(get_all=True)
            assert refused.value.response_code == 403

    await asyncio.to_thread(look)
