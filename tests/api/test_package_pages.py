"""Lists of packages page by page: the headers that say where a page stands."""

from tests.api.package_answers import group_packages_of, links_of, open_project, packages_of
from tests.api.registry import Answer, Registry
from tests.stored_packages import versions

_NUMBERS = ("per-page", "page", "next-page", "prev-page", "total", "total-pages")


async def test_a_page_tells_where_it_stands(bare_registry: Registry) -> None:
    project, _ = await open_project(bare_registry, *versions(45))
    url = f"{bare_registry.url}{packages_of(project)}"

    async def page(query: str) -> tuple[Answer, list[str]]:
        answer = await bare_registry.get(f"{packages_of(project)}{query}", token=None)
        return answer, [answer.headers.get(f"x-{name}", "none") for name in _NUMBERS]

    answer, numbers = await page("")
    assert numbers == ["20", "1", "2", "", "45", "3"]
    defaults = {"id": str(project.id), "order_by": "created_at", "sort": "asc"}
    assert links_of(answer) == {
        "next": (url, {**defaults, "page": "2", "per_page": "20"}),
        "first": (url, {**defaults, "page": "1", "per_page": "20"}),
        "last": (url, {**defaults, "page": "3", "per_page": "20"}),
    }
    answer, numbers = await page("?sort=desc&per_page=15&page=2&package_name=demo&job_token=")
    assert numbers == ["15", "2", "3", "1", "45", "3"]
    query = {"id": str(project.id), "order_by": "created_at", "package_name": "demo", "per_page": "15", "sort": "desc"}
    assert list(links_of(answer)) == ["prev", "next", "first", "last"]
    assert links_of(answer)["prev"] == (url, {**query, "page": "1"})
    for query_text, expected in (
        ("?page=3", ["20", "3", "", "2", "45", "3"]),
        ("?per_page=1000", ["100", "1", "", "", "45", "1"]),
        ("?package_name=nothing", ["20", "1", "", "", "0", "1"]),
        ("?package_type=npm", ["20", "1", "", "", "0", "1"]),
    ):
        assert (await page(query_text))[1] == expected

    by_path = await bare_registry.get("/api/v4/projects/team%2Fapp/packages?per_page=40", token=None)
    path, query = links_of(by_path)["next"]
    assert (path, query["id"]) == (f"{bare_registry.url}/api/v4/projects/team%2Fapp/packages", "team/app")
    grouped = await bare_registry.get("/api/v4/groups/team/packages?exclude_subgroups=True&page=2", token=None)
    assert links_of(grouped)["first"] == (
        f"{bare_registry.url}/api/v4/groups/team/packages",
        {**defaults, "id": "team", "exclude_subgroups": "True", "page": "1", "per_page": "20"},
    )
    grouped = await bare_registry.get(group_packages_of(project), token=None)
    assert links_of(grouped)["first"][1]["exclude_subgroups"] == "false"
    head = await bare_registry.ask("HEAD", packages_of(project), token=None)
    assert (head.status, head.body, head.headers["x-total"]) == (200, b"", "45")
    assert (head.headers["x-frame-options"], head.headers["x-content-type-options"]) == ("SAMEORIGIN", "nosniff")
    assert head.headers["content-type"] == "application/json"


async def test_a_long_list_is_not_counted(bare_registry: Registry) -> None:
    project, _ = await open_project(bare_registry, *versions(10_001))
    for url in (packages_of(project), group_packages_of(project)):
        answer = await bare_registry.get(f"{url}?package_name=dem&page=2", token=None)
        assert [answer.headers.get(f"x-{name}") for name in _NUMBERS] == ["20", "2", "3", "1", None, None]
        assert list(links_of(answer)) == ["prev", "next", "first"]
        answer = await bare_registry.get(f"{url}?page=501", token=None)
        assert (len(answer.json), list(links_of(answer))) == (1, ["prev", "first"])
