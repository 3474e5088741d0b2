"""The numbers of all processes of a registry, whichever of them is asked."""

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import LarderProcess
from tests.registry_client import open_client
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def numbers(url: str, token: str) -> dict[tuple[str, frozenset[str]], float]:
    """Return the value of each sample, under its name and the values of its labels."""
    request = urllib.request.Request(url, headers={"PRIVATE-TOKEN": token})
    with urllib.request.urlopen(request, timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.name, frozenset(sample.labels.values())): sample.value
            for family in families
            for sample in family.samples
        }


async def test_whichever_process_is_asked_it_tells_of_all(larder: LarderProcess) -> None:
    wheel = build_wheel("pkg", "1.0")
    async with open_client(larder.url, larder.token, larder.project_id) as client:
        answer = await client.upload(wheel, file_name=wheel_file_name("pkg", "1.0"), name="pkg", version="1.0")
    assert answer.status == 201
    [worker] = larder.pids("larder worker")
    processes = {f"api:{pid}" for pid in larder.pids("larder api")} | {f"worker:{worker}"}
    assert len(processes) == 3

    def all_are_told_of() -> bool:
        found = numbers(f"{larder.url}/-/metrics", larder.token)
        told = {value for _, values in found for value in values if value.startswith(("api:", "worker:"))}
        return (
            told == processes
            and found.get(("larder_jobs_total", frozenset({"process_package_file", "done", f"worker:{worker}"}))) == 1
        )

    wait_for(all_are_told_of, what="every process is told of", timeout_seconds=60)
