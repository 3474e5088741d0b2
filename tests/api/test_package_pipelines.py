"""The pipelines that built packages: beside them, and as a list that is followed by a cursor."""

import base64
import json
from typing import Any

from shared.models import AccessLevel, PackageFileStatus
from tests.api.package_answers import AT, NO_PACKAGE, links_of, open_project, packages_of
from tests.api.registry import ROOT_TOKEN, Registry
from tests.stored_packages import Stored, link_file, store_pipeline


async def test_pipelines_stand_in_packages_versions_and_files(bare_registry: Registry) -> None:
    project, (package_id, other_id, bare_id) = await open_project(
        bare_registry, Stored(files=(("a.whl", PackageFileStatus.DEFAULT),)), Stored(version="2.0"), Stored("bare")
    )
    url = bare_registry.settings.database_url
    user, _ = await bare_registry.add_user("ada")
    first = await store_pipeline(
        url, project, 900, user_id=user.id, web_url="https://ci.example/900", of_packages=[package_id]
    )
    await store_pipeline(url, project, 800, of_packages=[other_id, package_id])
    files = f"{packages_of(project)}/{package_id}/package_files"
    (file,) = (await bare_registry.get(files, token=None)).json
    assert "pipelines" not in file
    await link_file(url, package_id, file["id"], first)
    pipeline = {
        "id": 900,
        "iid": 7,
        "project_id": project.id,
        "sha": "c" * 40,
        "ref": "main",
        "status": "success",
        "source": "push",
        "created_at": AT,
        "updated_at": AT,
        "web_url": "https://ci.example/900",
        "user": {
            "id": user.id,
            "username": "ada",
            "public_email": "",
            "name": "ada",
            "state": "active",
            "locked": False,
            "avatar_url": None,
            "web_url": f"{bare_registry.url}/ada",
        },
    }
    later = {**pipeline, "id": 800, "user": None, "web_url": f"{bare_registry.url}/team/app/-/pipelines/800"}
    assert (await bare_registry.get(files, token=None)).json == [{**file, "pipelines": [pipeline]}]
    detail = (await bare_registry.get(f"{packages_of(project)}/{package_id}", token=None)).json
    assert (detail["pipeline"], detail["pipelines"]) == (later, [])
    assert [one["pipeline"] for one in detail["versions"]] == [later]
    listed = {one["id"]: one for one in (await bare_registry.get(packages_of(project), token=None)).json}
    assert (listed[package_id]["pipeline"], listed[package_id]["pipelines"]) == (later, [])
    assert not listed[bare_id].keys() & {"pipeline", "pipelines"}
    answer = await bare_registry.get(f"{packages_of(project)}/{package_id}/pipelines", token=None)
    assert (answer.status, answer.json) == (200, [later, pipeline])
    assert not [name for name in answer.headers if name.startswith("x-") and "page" in name]
    assert "link" not in answer.headers
    assert (await bare_registry.get(f"{packages_of(project)}/{bare_id}/pipelines", token=None)).json == []


async def test_pipelines_are_followed_by_a_cursor(bare_registry: Registry) -> None:
    project, (package_id, other_id) = await open_project(bare_registry, Stored(), Stored("other"))
    numbers = [500 + (number * 7) % 45 for number in range(45)]
    for number in numbers:
        await store_pipeline(bare_registry.settings.database_url, project, number, of_packages=[other_id, package_id])
    url = f"{packages_of(project)}/{package_id}/pipelines"
    found: list[int] = []
    following: str | None = f"{url}?per_page=20&job_token=&page=7"
    cursors = []
    while following is not None:
        answer = await bare_registry.get(following, token=None)
        found += [one["id"] for one in answer.json]
        assert not [name for name in answer.headers if name.startswith("x-") and "page" in name]
        links = links_of(answer)
        assert set(links) <= {"next"}
        following = answer.headers["link"].partition(">")[0].lstrip("<") if links else None
        if links:
            path, query = links["next"]
            cursors.append(query.pop("cursor"))
            assert path == f"{bare_registry.url}{url}"
            assert query == {
                "id": str(project.id),
                "package_id": str(package_id),
                "page": "7",
                "pagination": "keyset",
                "per_page": "20",
            }
    assert found == numbers[::-1]
    decoded = [json.loads(base64.urlsafe_b64decode(cursor)) for cursor in cursors]
    assert [(list(one), type(one["id"]), one["_kd"]) for one in decoded] == [(["id", "_kd"], str, "n")] * 2

    async def ids(query: str) -> list[int]:
        answer = await bare_registry.get(f"{url}?{query}", token=None)
        assert answer.status == 200, answer.body
        return [one["id"] for one in answer.json]

    assert await ids("order_by=id&sort=desc&per_page=1") == found[:1]
    assert await ids("per_page=1&cursor=") == found[:1]
    assert await ids(f"cursor={cursors[0].rstrip('=')}") == found[20:40]
    back = encoded({"id": decoded[1]["id"], "_kd": "p"})
    assert await ids(f"per_page=5&cursor={back}") == found[34:39]
    assert await ids(f"cursor={encoded({'id': '1', '_kd': 'n'})}") == []
    assert await ids(f"cursor={encoded({'id': '9' * 18, '_kd': 'p'})}") == []


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


async def test_bad_questions_for_pipelines_are_refused(bare_registry: Registry) -> None:
    project, (package_id,) = await open_project(bare_registry, Stored())
    url = f"{packages_of(project)}/{package_id}/pipelines"
    tampered = (
        "x",
        "!!!!",
        "a",
        "====",
        "%00",
        "ä",
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 100).decode(),
        encoded([]),
        encoded({}),
        encoded(None),
        encoded({"id": "5"}),
        encoded({"_kd": "n"}),
        encoded({"id": 5, "_kd": "n"}),
        encoded({"id": "x", "_kd": "n"}),
        encoded({"id": "-5", "_kd": "n"}),
        encoded({"id": "5 OR 1=1", "_kd": "n"}),
        encoded({"id": "٣", "_kd": "n"}),
        encoded({"id": "9" * 30, "_kd": "n"}),
        encoded({"id": ["5"], "_kd": "n"}),
        encoded({"id": "5", "_kd": "x"}),
        encoded({"id": "5", "_kd": ["n"]}),
        encoded({"id": "5", "_kd": "n", "name": "x"}),
        encoded({"id": "5", "_kd": "n"}) + "A",
        "A" * 4000,
    )
    for query, problem in (
        *((f"per_page={size}", "per_page does not have a valid value") for size in (21, 0, -2, 100, "9" * 18)),
        ("per_page=x", "per_page is invalid"),
        ("page=x", "page is invalid"),
        *((f"cursor={cursor}", "cursor is invalid") for cursor in tampered),
        ("per_page=21&cursor=x&page=y", "page is invalid, per_page does not have a valid value, cursor is invalid"),
    ):
        answer = await bare_registry.get(f"{url}?{query}", token=None)
        assert (answer.status, answer.json) == (400, {"error": problem}), query
    unavailable = {"error": "Keyset pagination is not yet available for this type of request"}
    for query in ("order_by=name", "sort=asc", "order_by=", "sort=", "order_by=id&sort=asc", "order_by=created_at"):
        answer = await bare_registry.get(f"{url}?{query}", token=None)
        assert (answer.status, answer.json) == (405, unavailable), query
    missing = await bare_registry.get(f"{packages_of(project)}/{package_id + 1}/pipelines?sort=asc", token=None)
    assert (missing.status, missing.json) == (404, NO_PACKAGE)


async def test_a_pipeline_of_another_project_is_shown_to_those_only_who_see_that(bare_registry: Registry) -> None:
    project, (package_id, other_id) = await open_project(
        bare_registry, Stored(files=(("a.whl", PackageFileStatus.DEFAULT),)), Stored(version="2.0")
    )
    elsewhere = await bare_registry.add_project("elsewhere")
    ada, token = await bare_registry.add_user("ada")
    await bare_registry.add_member(elsewhere, ada, AccessLevel.GUEST)
    url = bare_registry.settings.database_url
    await store_pipeline(url, project, 800, of_packages=[package_id])
    hidden = await store_pipeline(url, elsewhere, 900, of_packages=[package_id, other_id])
    path = f"{packages_of(project)}/{package_id}"
    (file,) = (await bare_registry.get(f"{path}/package_files")).json
    await link_file(url, package_id, file["id"], hidden)

    async def shown(token: str | None) -> dict[str, list[int]]:
        async def numbers(path: str) -> list[int]:
            told = (await bare_registry.get(path, token=token)).json
            entries = told if isinstance(told, list) else [told, *told["versions"]]
            found = [[entry["pipeline"]] if "pipeline" in entry else entry.get("pipelines", []) for entry in entries]
            return sorted(pipeline["id"] for pipelines in found for pipeline in pipelines)

        listed = [one["id"] for one in (await bare_registry.get(f"{path}/pipelines", token=token)).json]
        group = f"/api/v4/groups/{project.namespace.id}/packages"
        places = (path, packages_of(project), group, f"{path}/package_files")
        return {"pipelines": listed, **{place: await numbers(place) for place in places}}

    all_of_them, some = await shown(token), await shown(None)
    assert all_of_them == await shown(ROOT_TOKEN)
    assert all_of_them == {
        "pipelines": [900, 800],
        path: [900, 900],
        packages_of(project): [900, 900],
        f"/api/v4/groups/{project.namespace.id}/packages": [900, 900],
        f"{path}/package_files": [900],
    }
    assert some == {**{place: [] for place in all_of_them}, "pipelines": [800]}


async def test_a_link_stays_short_and_names_the_place_that_was_asked(bare_registry: Registry) -> None:
    project, (package_id,) = await open_project(bare_registry, Stored())
    for number in (800, 900):
        await store_pipeline(bare_registry.settings.database_url, project, number, of_packages=[package_id])
    url = packages_of(project)
    for path, numbers in ((url, {"id": project.id}), (f"{url}/{package_id}/pipelines", {"package_id": package_id})):
        for query in (f"id={'9' * 3000}&package_id={'9' * 3000}", "&".join(["sort=desc"] * 700), "x=y&sort=desc"):
            link = (await bare_registry.get(f"{path}?{query}&per_page=1", token=None)).headers["link"]
            assert len(link) < 8000
            assert f"id={project.id}&" in link
            assert all(f"{name}={number}&" in link for name, number in numbers.items())
