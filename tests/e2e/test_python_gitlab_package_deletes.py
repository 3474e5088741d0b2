"""Packages and their files fetched, hidden and deleted by an unmodified python-gitlab."""

import asyncio
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import gitlab
import pytest
from gitlab.exceptions import GitlabDeleteError, GitlabGetError, GitlabHttpError
from gitlab.v4.objects import Project, ProjectPackage

from tests.distributions import build_sdist, build_wheel, sdist_file_name, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.e2e.python_gitlab import files_of
from tests.registry_client import open_client
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

WHEEL, SDIST = build_wheel("pkg", "1.0"), build_sdist("pkg", "1.0")
FILES = {wheel_file_name("pkg", "1.0"): WHEEL, sdist_file_name("pkg", "1.0"): SDIST}


@pytest.fixture
def gl(larder_of_module: LarderProcess) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(larder_of_module.url, private_token=larder_of_module.token) as client:
        yield client


def publish(larder: LarderProcess, project: Project) -> None:
    async def upload() -> None:
        async with open_client(larder.url, token=larder.token, project_id=project.id) as client:
            for file_name, content in FILES.items():
                await client.publish(content, file_name=file_name, name="pkg", version="1.0")

    asyncio.run(upload())


def blobs_of(larder: LarderProcess) -> int:
    return len(larder.blobs())


def only_package(project: Project) -> ProjectPackage:
    [package] = project.packages.list(get_all=True)
    return package


def test_a_package_is_fetched_hidden_and_deleted(gl: gitlab.Gitlab, larder_of_module: LarderProcess) -> None:
    project = gl.projects.create({"name": "whole"})
    publish(larder_of_module, project)
    package = only_package(project)
    url = f"/projects/{project.id}/packages/{package.id}"
    fetched = {
        file.file_name: gl.http_get(f"{url}/package_files/{file.id}/download", raw=True, streamed=True).content  # type: ignore[union-attr]  # a response, because it is streamed
        for file in package.package_files.list(get_all=True)
    }
    assert fetched == FILES
    wait_for(
        lambda: project.packages.get(package.id).last_downloaded_at, what="the download is noted", timeout_seconds=60
    )

    hidden = gl.http_put(url, post_data={"status": "hidden"})
    assert hidden["status"] == "hidden"  # type: ignore[index]  # a JSON object
    assert project.packages.list(get_all=True) == []
    with pytest.raises(GitlabGetError, match="404 Not found"):
        project.packages.get(package.id)
    with pytest.raises(GitlabHttpError, match="status does not have a valid value"):
        gl.http_put(url, post_data={"status": "error"})
    gl.http_put(url, post_data={"status": "default"})

    page = urllib.request.Request(
        f"{gl.url}{only_package(project)._links['web_path']}", headers={"PRIVATE-TOKEN": larder_of_module.token}
    )
    with urllib.request.urlopen(page, timeout=60) as answer:
        assert "<h1>pkg 1.0</h1>" in answer.read().decode()

    yesterday = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    with pytest.raises(GitlabDeleteError, match="412 Precondition Failed"):
        project.packages.delete(package.id, extra_headers={"If-Unmodified-Since": yesterday})
    package.delete()
    with pytest.raises(GitlabDeleteError, match="404 Not found"):
        package.delete()
    publish(larder_of_module, project)
    again = only_package(project)
    assert again.id > package.id
    again.delete()
    wait_for(lambda: blobs_of(larder_of_module) == 0, what="all blobs are gone", timeout_seconds=60)


def test_the_package_goes_with_its_last_file(gl: gitlab.Gitlab, larder_of_module: LarderProcess) -> None:
    project = gl.projects.create({"name": "bit by bit"})
    publish(larder_of_module, project)
    package = only_package(project)
    first, second = package.package_files.list(get_all=True)
    first.delete()
    assert [file.id for file in package.package_files.list(get_all=True)] == [second.id]
    with pytest.raises(GitlabDeleteError, match="404 Not Found"):
        package.package_files.delete(first.id)
    package.package_files.delete(second.id)
    assert files_of(package) == []
    wait_for(lambda: not project.packages.list(get_all=True), what="the package is gone", timeout_seconds=60)
    assert blobs_of(larder_of_module) == 0
