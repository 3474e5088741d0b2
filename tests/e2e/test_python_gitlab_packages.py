"""Packages, listed by an unmodified python-gitlab against real processes."""

import warnings
from collections.abc import Iterator
from http import HTTPStatus

import gitlab
import pytest

from shared.metadata.store import open_metadata_store
from shared.models import PackageFileStatus, PackageId, PackageStatus, ProjectId
from tests.backends import run_apart
from tests.e2e.processes import LarderProcess
from tests.stored_packages import Stored, store_packages, store_pipeline

pytestmark = pytest.mark.slow

PACKAGES = 250
PIPELINES = 45


@pytest.fixture
def admin(larder_of_module: LarderProcess) -> Iterator[gitlab.Gitlab]:
    with gitlab.Gitlab(larder_of_module.url, private_token=larder_of_module.token, timeout=30) as client:
        client.auth()
        yield client


async def fill(larder: LarderProcess, project_id: int) -> PackageId:
    """Put many packages into the project, and many pipelines behind the first; return its id."""
    url = larder.database_url
    async with open_metadata_store(url) as store, store.reading() as rows:
        project = await rows.tenants.project(ProjectId(project_id))
    assert project is not None
    files = tuple((f"demo-0.0-{number}-py3-none-any.whl", PackageFileStatus.DEFAULT) for number in range(25))
    stored = [Stored("demo", f"{number}.0", files=() if number else files) for number in range(PACKAGES)]
    ids = await store_packages(url, project, [*stored, Stored("lost", status=PackageStatus.ERROR)])
    for number in range(PIPELINES):
        await store_pipeline(url, project, 1000 + number, of_packages=ids[:1])
    return ids[0]


def test_packages_are_listed_page_by_page(admin: gitlab.Gitlab, larder_of_module: LarderProcess) -> None:
    group = admin.groups.create({"name": "Many", "path": "many", "visibility": "public"})
    project = admin.projects.create({"name": "App", "path": "app", "namespace_id": group.id, "visibility": "public"})
    package_id = run_apart(fill(larder_of_module, project.id))
    expected = [f"{number}.0" for number in range(PACKAGES)]

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # among others, about a next page that is none of this server
        for source in (project, group, admin.projects.get("many/app", lazy=True)):
            everything = source.packages.list(get_all=True, package_name="demo", status="default")
            assert [one.version for one in everything] == expected
            one_by_one = source.packages.list(iterator=True, per_page=100, package_name="DEMO")
            assert (one_by_one.total, one_by_one.total_pages, one_by_one.per_page) == (PACKAGES, 3, 100)
            assert [one.version for one in one_by_one] == expected
        newest = project.packages.list(order_by="created_at", sort="desc", per_page=2, page=2, get_all=False)
        assert [one.version for one in newest] == ["248.0", "247.0"]
        assert [one.name for one in project.packages.list(package_name="LOST", get_all=True)] == ["lost"]
        assert project.packages.list(package_type="npm", get_all=True) == []
        assert project.packages.list(package_version="7.0", include_versionless=True, get_all=True)[0].version == "7.0"
        grouped = group.packages.list(order_by="project_path", exclude_subgroups=True, iterator=True)
        assert {one.project_path for one in grouped} == {"many/app"}

        package = project.packages.get(package_id)
        assert (package.name, package.version, len(package.versions)) == ("demo", "0.0", PACKAGES - 1)
        assert package.pipeline["id"] == 1000 + PIPELINES - 1
        files = package.package_files.list(get_all=True)
        assert [one.file_name for one in files] == [f"demo-0.0-{number}-py3-none-any.whl" for number in range(25)]
        backwards = package.package_files.list(iterator=True, per_page=10, order_by="id", sort="desc")
        assert [one.id for one in backwards] == [one.id for one in reversed(files)]
        numbers = [1000 + number for number in reversed(range(PIPELINES))]
        assert [one.id for one in package.pipelines.list(get_all=True)] == numbers
        assert [one.id for one in package.pipelines.list(iterator=True, per_page=7)] == numbers

    with gitlab.Gitlab(larder_of_module.url) as nobody:
        found = nobody.groups.get("many", lazy=True).packages.list(get_all=True)
        assert len(found) == PACKAGES + 1
        assert "delete_api_path" not in found[0]._links


def test_what_is_wrong_is_told(admin: gitlab.Gitlab, larder_of_module: LarderProcess) -> None:
    project = admin.projects.get(larder_of_module.project_id)
    for status, message, ask in (
        (HTTPStatus.NOT_FOUND, "404 Not found", lambda: project.packages.get(10**9)),
        (HTTPStatus.BAD_REQUEST, "package_id is invalid", lambda: project.packages.get("x")),
        (
            HTTPStatus.BAD_REQUEST,
            "status does not have a valid value",
            lambda: project.packages.list(status="gone", get_all=True),
        ),
        (
            HTTPStatus.NOT_FOUND,
            "404 Project Not Found",
            lambda: admin.projects.get(10**9, lazy=True).packages.list(get_all=True),
        ),
    ):
        with pytest.raises(gitlab.GitlabError, match=message) as refused:
            ask()
        assert refused.value.response_code == status
    impostor = gitlab.Gitlab(larder_of_module.url, private_token="glpat-unknown")
    with impostor, pytest.raises(gitlab.GitlabAuthenticationError):
        impostor.projects.get(project.id, lazy=True).packages.list(get_all=True)
