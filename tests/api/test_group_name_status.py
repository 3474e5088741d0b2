"""A name that several projects of a group have, each with a word of its own about it (PEP 792)."""

from typing import Any

import pytest

from shared.models import Namespace, PackageFile, Project, Visibility
from shared.status_markers import NameStatus, StatusMarker
from tests.api.published import CONTENT, publish
from tests.api.registry import ROOT_TOKEN, SIMPLE_JSON, Registry
from tests.api.tenants import add_group, add_project
from tests.conformance.reader import HtmlPage

ACTIVE, ARCHIVED, QUARANTINED = (
    StatusMarker(status) for status in (NameStatus.ACTIVE, NameStatus.ARCHIVED, NameStatus.QUARANTINED)
)
SO = StatusMarker(NameStatus.ARCHIVED, "so")
THUS = StatusMarker(NameStatus.ARCHIVED, "thus")
BAD = StatusMarker(NameStatus.QUARANTINED, "so")


@pytest.fixture
async def group(bare_registry: Registry) -> Namespace:
    return await add_group(bare_registry, "top", visibility=Visibility.PUBLIC)


async def mark(registry: Registry, project: Project, marker: StatusMarker) -> None:
    body = {"status": str(marker.status), **({} if marker.reason is None else {"reason": marker.reason})}
    url = f"{registry.pypi_of(project.id)}/names/pkg/status"
    assert (await registry.ask("PUT", url, data=body)).status == 200


async def shown(registry: Registry, group: Namespace, *, token: str | None) -> tuple[Any, list[str]]:
    """Return the status and the files of the group's page; HTML and JSON tell the same."""
    url = f"{registry.url}/api/v4/groups/{group.id}/-/packages/pypi/simple/pkg/"
    in_json = (await registry.get(url, token=token, Accept=SIMPLE_JSON)).json
    status, files = in_json.get("project-status", {}), [file["filename"] for file in in_json["files"]]
    page = HtmlPage()
    page.feed((await registry.get(url, token=token)).body.decode())
    metas = {str(meta["name"]).removeprefix("pypi:project-"): meta["content"] for meta in page.metas[1:]}
    assert {"status-reason" if key == "reason" else key: value for key, value in status.items()} == metas
    assert [anchor.text for anchor in page.anchors] == files
    return status, files


async def test_a_groups_page_tells_what_its_projects_agree_on_and_offers_what_is_not_quarantined(
    bare_registry: Registry, group: Namespace
) -> None:
    open_project = await add_project(bare_registry, group, "open", visibility=Visibility.PUBLIC)
    closed_project = await add_project(bare_registry, group, "closed")
    await publish(bare_registry, open_project.id, file_name="open.whl")
    await publish(bare_registry, closed_project.id, file_name="closed.whl")
    both, archived, quarantined = ["open.whl", "closed.whl"], {"status": "archived"}, {"status": "quarantined"}
    with_reason = {**archived, "reason": "so"}
    cases: list[tuple[StatusMarker, StatusMarker, dict[str, str], list[str]]] = [
        (ACTIVE, ACTIVE, {}, both),
        (ARCHIVED, ACTIVE, {}, both),
        (ARCHIVED, ARCHIVED, archived, both),
        (SO, SO, with_reason, both),
        (SO, THUS, archived, both),
        (SO, ARCHIVED, archived, both),
        (QUARANTINED, ACTIVE, {}, ["closed.whl"]),
        (ACTIVE, BAD, {}, ["open.whl"]),
        (SO, BAD, {}, ["open.whl"]),
        (QUARANTINED, QUARANTINED, quarantined, []),
        (BAD, BAD, {**quarantined, "reason": "so"}, []),
    ]
    for of_open, of_closed, status, files in cases:
        await mark(bare_registry, open_project, of_open)
        await mark(bare_registry, closed_project, of_closed)
        case = (of_open, of_closed)
        assert (case, await shown(bare_registry, group, token=ROOT_TOKEN)) == (case, (status, files))
    # What is said in a project that somebody may not read is not told to them, and hides nothing from them.
    await mark(bare_registry, open_project, SO)
    assert await shown(bare_registry, group, token=None) == (with_reason, ["open.whl"])
    await mark(bare_registry, open_project, BAD)
    assert await shown(bare_registry, group, token=None) == ({**quarantined, "reason": "so"}, [])


async def test_a_group_gives_an_equal_file_from_a_project_where_its_name_is_not_quarantined(
    bare_registry: Registry, group: Namespace
) -> None:
    projects = [await add_project(bare_registry, group, path) for path in ("one", "other")]
    files = [await publish(bare_registry, project.id) for project in projects]

    async def fetch(file: PackageFile) -> tuple[int, bytes]:
        root = f"{bare_registry.url}/api/v4/groups/{group.id}/-/packages/pypi"
        answer = await bare_registry.get(f"{root}/files/{file.sha256}/{file.file_name}")
        return answer.status, answer.body

    found = []
    for project in reversed(projects):
        found.append(await fetch(files[0]))
        await mark(bare_registry, project, QUARANTINED)
    found.append(await fetch(files[0]))
    assert found == [(200, CONTENT), (200, CONTENT), (404, b'{"message":"404 Not found"}')]
