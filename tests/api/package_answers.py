"""What tests of the Packages API share: projects with packages in them, and answers taken apart."""

from urllib.parse import parse_qsl, urlsplit

from shared.models import PackageId, Project, Visibility
from tests.api.registry import Answer, Registry
from tests.stored_packages import Stored, store_packages

NO_PACKAGE = {"message": "404 Not found"}
AT = "2026-03-01T12:00:00.123Z"
"""When the first package of a project was created, and every pipeline."""


def packages_of(project: Project) -> str:
    return f"/api/v4/projects/{project.id}/packages"


def group_packages_of(project: Project) -> str:
    return f"/api/v4/groups/{project.namespace.id}/packages"


async def open_project(registry: Registry, *stored: Stored, path: str = "app") -> tuple[Project, list[PackageId]]:
    project = await registry.add_project(path, visibility=Visibility.PUBLIC)
    return project, await store_packages(registry.settings.database_url, project, stored)


def told(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [f"{one['name']} {one['version']}" for one in answer.json]


def links_of(answer: Answer) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the URLs of a Link header without their queries, and the queries, by what they lead to."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for link in answer.headers["link"].split(", ") if "link" in answer.headers else []:
        url, relation = link.split("; ")
        parts = urlsplit(url.strip("<>"))
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        assert pairs == sorted(pairs)
        found[relation.removeprefix('rel="').rstrip('"')] = (
            f"{parts.scheme}://{parts.netloc}{parts.path}",
            dict(pairs),
        )
    return found
