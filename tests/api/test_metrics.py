"""What is shown to Prometheus, and to whom."""

import re

from prometheus_client.parser import text_string_to_metric_families

from tests.api.registry import Registry
from tests.distributions import build_wheel
from tests.waiting import eventually

UPLOADS = "/api/v4/projects/{project}/packages/pypi"
PAGES = "/api/v4/projects/{project}/packages/pypi/simple/{package_name+}"


async def samples(registry: Registry) -> dict[tuple[str, frozenset[str]], float]:
    """Return the value of each sample, under its name and the values of its labels."""
    answer = await registry.get("/-/metrics")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_requests_are_counted_by_route_and_status_and_what_they_carried(registry: Registry) -> None:
    wheel = build_wheel("pkg", "1.0")
    assert (await registry.upload(wheel)).status == 201
    page = await registry.get(f"{registry.pypi}/simple/pkg/")
    for _ in range(2):
        assert (await registry.get(f"{registry.pypi}/simple/no-such-thing/")).status == 404

    found = await samples(registry)

    assert found["larder_requests_total", frozenset({"POST", UPLOADS, "201"})] == 1
    assert found["larder_requests_total", frozenset({"GET", PAGES, "200"})] == 1
    assert found["larder_requests_total", frozenset({"GET", PAGES, "404"})] == 2
    assert found["larder_request_seconds_count", frozenset({PAGES})] == 3
    assert found["larder_received_bytes_total", frozenset({UPLOADS})] > len(wheel)
    assert found["larder_sent_bytes_total", frozenset({PAGES})] > len(page.body)


async def test_what_the_registry_holds_and_how_its_parts_fare_is_told(registry: Registry) -> None:
    wheel = build_wheel("pkg", "1.0")
    assert (await registry.upload(wheel)).status == 201

    found = await samples(registry)

    assert found["larder_packages", frozenset({"default"})] == 1
    assert found["larder_package_files", frozenset({"default"})] == 1
    assert found["larder_stored_bytes", frozenset()] == len(wheel)
    assert found["larder_oldest_waiting_file_seconds", frozenset()] == 0
    assert found["larder_queue_jobs", frozenset()] == 0
    parts = {part: found["larder_part_up", frozenset({part})] for part in ("database", "blob_store", "redis", "worker")}
    assert parts == dict.fromkeys(parts, 1)


async def test_connections_to_the_database_are_told(registry: Registry) -> None:
    found = await samples(registry)

    is_sqlite = registry.settings.database_url.startswith("sqlite")
    pools = {"readers": 4, "writer": 1} if is_sqlite else {"server": registry.settings.database_connections}
    for pool, most in pools.items():
        assert found["larder_database_connections_max", frozenset({pool})] == most
        for use in ("in_use", "idle"):
            assert found["larder_database_connections", frozenset({pool, use})] <= most
        assert found["larder_database_waiting", frozenset({pool})] >= 0


async def test_looks_into_memory_are_counted(registry: Registry) -> None:
    assert (await registry.upload(build_wheel("pkg", "1.0"))).status == 201

    async def some_are_found() -> bool:
        await registry.get(f"{registry.pypi}/simple/pkg/")
        found = await samples(registry)
        return found["larder_memory_lookups_total", frozenset({"found"})] > 0

    await eventually(some_are_found, what="a page is found in memory", timeout_seconds=30)
    assert (await samples(registry))["larder_memory_lookups_total", frozenset({"missed"})] > 0


async def test_only_administrators_are_shown_any_of_it(registry: Registry) -> None:
    _, token = await registry.add_user("ada")
    assert (await registry.get("/-/metrics", token=token)).status == 403
    assert (await registry.get("/-/metrics", token=None)).status == 401
    assert (await registry.get("/-/metrics", token="glpat-unknown-to-everybody")).status == 401


async def test_no_label_grows_with_what_clients_send(registry: Registry) -> None:
    for number in range(5):
        await registry.get(f"/nowhere/{number}")
        await registry.get(f"{registry.pypi}/simple/name-{number}/")
        await registry.ask(f"BREW{number}", f"{registry.pypi}/simple/")
    text = (await registry.get("/-/metrics")).body.decode()
    assert not re.search(r"name-\d|nowhere|BREW", text)
