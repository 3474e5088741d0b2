import asyncio

from aiohttp import web

from services.api.guards import open_to_all
from services.api.routes import ENDPOINTS, add_routes

OPEN = {"/api/v4/openapi.json", "/-/health", "/-/liveness", "/-/readiness", "/{anything*}"}


def _resources() -> dict[str, set[str]]:
    async def build() -> dict[str, set[str]]:
        app = web.Application()
        add_routes(app)
        found: dict[str, set[str]] = {}
        for route in app.router.routes():
            assert route.resource is not None
            found.setdefault(route.resource.canonical, set()).add(route.method)
        return found

    return asyncio.run(build())


def test_only_what_must_be_open_is_open_to_all() -> None:
    assert {endpoint.path for endpoint in ENDPOINTS if endpoint.guard is open_to_all} == OPEN


def test_every_get_is_served_as_head_too() -> None:
    for methods in _resources().values():
        assert ("GET" in methods) == ("HEAD" in methods)


def test_every_path_is_served_with_and_without_a_slash_at_its_end() -> None:
    resources = _resources()
    for path, methods in resources.items():
        if path.endswith("}") and path.rpartition("{")[2] in ("package_name}", "file_name}", "anything}"):
            continue
        assert resources[path.removesuffix("/")] == resources[path.removesuffix("/") + "/"] == methods
