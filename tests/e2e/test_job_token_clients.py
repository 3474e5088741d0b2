"""CI jobs as people use them: python-gitlab says whose jobs are let in, twine, pip and uv sign in as a job."""

import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import gitlab
import pytest

from tests.backends import run_apart
from tests.distributions import build_wheel, module_name, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.e2e.shell import run_in_shell
from tests.rows import count
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NAME = "Built.Package"
PIPELINE = {"id": 7, "iid": 3, "ref": "main", "sha": "a" * 40, "source": "push", "status": "running"}


@pytest.fixture
def gl(larder_of_module: LarderProcess) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(larder_of_module.url, private_token=larder_of_module.token, per_page=2) as client:
        client.auth()
        yield client


def begin(gl: gitlab.Gitlab, project: Any, **changes: Any) -> dict[str, Any]:
    """Say that a job of the project has begun, as a CI system would."""
    body = {"pipeline": PIPELINE, "expires_in": 600, **changes}
    made = gl.http_post(f"/projects/{project.id}/job_tokens", post_data=body)
    assert isinstance(made, dict)
    return made


def test_who_is_let_in_is_read_and_changed(gl: gitlab.Gitlab) -> None:
    group = gl.groups.create({"name": "Lab", "path": "lab"})
    project = gl.projects.create({"name": "app", "namespace_id": group.id})
    others = [gl.projects.create({"name": name, "namespace_id": group.id}) for name in ("one", "two", "three")]
    scope = project.job_token_scope.get()
    assert (scope.inbound_enabled, scope.outbound_enabled) == (True, False)
    scope.enabled = False
    scope.save()
    scope.refresh()
    assert scope.inbound_enabled is False
    project.job_token_scope.update(new_data={"enabled": True})

    scope = project.job_token_scope.get()
    assert [one.id for one in scope.allowlist.list(get_all=True)] == [project.id]
    added = [scope.allowlist.create({"target_project_id": one.id}) for one in others]
    assert (added[0].source_project_id, added[0].target_project_id) == (project.id, others[0].id)
    listed = scope.allowlist.list(iterator=True)
    assert [one.path_with_namespace for one in listed] == ["lab/app", "lab/one", "lab/two", "lab/three"]
    with pytest.raises(gitlab.GitlabCreateError, match="Target project is already in the job token scope") as refused:
        scope.allowlist.create({"target_project_id": others[0].id})
    assert refused.value.response_code == HTTPStatus.BAD_REQUEST
    added[0].delete()
    scope.allowlist.delete(others[1].id)
    assert [one.id for one in scope.allowlist.list(get_all=True)] == [project.id, others[2].id]
    with pytest.raises(gitlab.GitlabDeleteError, match="Source project cannot be removed"):
        scope.allowlist.delete(project.id)

    let_in = scope.groups_allowlist.create({"target_group_id": group.id})
    assert (let_in.source_project_id, let_in.target_group_id) == (project.id, group.id)
    (found,) = scope.groups_allowlist.list(get_all=True)
    assert (found.id, found.name, found.web_url) == (group.id, "Lab", f"{gl.url}/groups/lab")
    found.delete()
    assert scope.groups_allowlist.list(get_all=True) == []
    with pytest.raises(gitlab.GitlabCreateError, match="404 Group Not Found"):
        scope.groups_allowlist.create({"target_group_id": 10_000})


def test_jobs_begin_are_listed_and_end(gl: gitlab.Gitlab) -> None:
    project = gl.projects.create({"name": "jobs"})
    made = [begin(gl, project, pipeline={**PIPELINE, "id": number}) for number in (1, 2, 3)]
    listed = gl.http_list(f"/projects/{project.id}/job_tokens", iterator=True)
    assert [job["pipeline"]["id"] for job in listed] == [3, 2, 1]
    gl.http_delete(f"/projects/{project.id}/job_tokens/{made[1]['id']}")
    left = gl.http_list(f"/projects/{project.id}/job_tokens", get_all=True)
    assert [job["id"] for job in left] == [made[2]["id"], made[0]["id"]]
    with pytest.raises(gitlab.GitlabHttpError, match="pipeline is missing, pipeline\\[id\\] is missing") as refused:
        gl.http_post(f"/projects/{project.id}/job_tokens", post_data={})
    assert refused.value.response_code == HTTPStatus.BAD_REQUEST
    # A job is nobody where projects are administered.
    with gitlab.Gitlab(gl.url, job_token=made[0]["token"]) as job, pytest.raises(gitlab.GitlabGetError) as unseen:
        job.projects.get(project.id)
    assert unseen.value.response_code == HTTPStatus.NOT_FOUND


class Desk:
    """A machine on which jobs run, with a wheel."""

    def __init__(self, larder: LarderProcess, directory: Path) -> None:
        self.directory = directory
        self.wheel = directory / wheel_file_name(NAME, "1.0")
        self.wheel.write_bytes(build_wheel(NAME, "1.0"))
        self._projects = f"{larder.url}/api/v4/projects"

    def publish(self, project: Any, token: str) -> subprocess.CompletedProcess[str]:
        return run_in_shell(
            "twine upload --verbose --disable-progress-bar "
            f"--repository-url {self._projects}/{project.id}/packages/pypi '{self.wheel}'",
            cwd=self.directory,
            TWINE_USERNAME="gitlab-ci-token",
            TWINE_PASSWORD=token,
            TWINE_NON_INTERACTIVE="1",
        )

    def publish_with_uv(self, project: Any, token: str) -> subprocess.CompletedProcess[str]:
        return run_in_shell(
            f"uv publish --publish-url {self._projects}/{project.id}/packages/pypi '{self.wheel}'",
            cwd=self.directory,
            UV_PUBLISH_USERNAME="gitlab-ci-token",
            UV_PUBLISH_PASSWORD=token,
        )

    def install(self, tool: str, project: Any, token: str, target: Path) -> subprocess.CompletedProcess[str]:
        scheme, rest = f"{self._projects}/{project.id}/packages/pypi/simple/".split("://", 1)
        command = "pip install --no-input --no-cache-dir" if tool == "pip" else "uv pip install --no-cache"
        return run_in_shell(
            f"{command} --target '{target}' --index-url '{scheme}://gitlab-ci-token:{token}@{rest}' {NAME}",
            cwd=self.directory,
        )


@pytest.mark.slow
def test_twine_pip_and_uv_sign_in_as_a_job(gl: gitlab.Gitlab, larder_of_module: LarderProcess, tmp_path: Path) -> None:
    source = gl.projects.create({"name": "source", "visibility": "private"})
    target = gl.projects.create({"name": "target", "visibility": "private"})
    desk = Desk(larder_of_module, tmp_path)
    ada = gl.users.create({"username": "ada", "name": "Ada", "email": "ada@example.org", "force_random_password": True})
    source.members.create({"user_id": ada.id, "access_level": gitlab.const.AccessLevel.DEVELOPER})
    target.members.create({"user_id": ada.id, "access_level": gitlab.const.AccessLevel.REPORTER})
    job = begin(gl, source, user_id=ada.id)

    assert_done(desk.publish(source, job["token"]))
    assert_done(desk.publish_with_uv(source, job["token"]))  # The very same file once more.
    for tool in ("pip", "uv"):
        assert_done(desk.install(tool, source, job["token"], tmp_path / tool))
        assert list((tmp_path / tool).glob(f"{module_name(NAME)}*"))

    # A project that does not let the job in is not there for it; once it does, the job may do what its user may.
    assert_refused(desk.publish(target, job["token"]), "404 Not Found")
    assert_refused(desk.publish_with_uv(target, job["token"]), "404 Not Found")
    assert_refused(desk.install("pip", target, job["token"], tmp_path / "none"), "No matching distribution found")
    assert_refused(desk.install("uv", target, job["token"], tmp_path / "none"), "was not found in the package registry")
    target.job_token_scope.get().allowlist.create({"target_project_id": source.id})
    assert_refused(desk.publish(target, job["token"]), "403 Forbidden")

    # From the next request on, the token of an ended job is nobody's.
    gl.http_delete(f"/projects/{source.id}/job_tokens/{job['id']}")
    assert_refused(desk.publish(source, job["token"]), "401 Unauthorized")
    assert_refused(desk.publish_with_uv(source, job["token"]), "401 Unauthorized")
    assert_refused(
        desk.install("pip", source, job["token"], tmp_path / "none"), "401 Error, Credentials not correct for"
    )
    assert_refused(desk.install("uv", source, job["token"], tmp_path / "none"), "401 Unauthorized")
    assert not list((tmp_path / "none").glob(f"{module_name(NAME)}*"))

    # What is deleted takes its links to the pipeline along, or the worker could not remove it.
    assert rows_left(larder_of_module) == {"build_links": 2, "package_files": 1, "packages": 1}
    source.delete()
    wait_for(
        lambda: not any(rows_left(larder_of_module).values()),
        what="the worker has removed the project's packages",
        timeout_seconds=60,
    )


def rows_left(larder: LarderProcess) -> dict[str, int]:
    tables = ("build_links", "package_files", "packages")
    return {table: run_apart(count(larder.database_url, table)) for table in tables}


def assert_done(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stdout + run.stderr


def assert_refused(run: subprocess.CompletedProcess[str], reason: str) -> None:
    assert run.returncode != 0
    assert reason in run.stdout + run.stderr, run.stdout + run.stderr
