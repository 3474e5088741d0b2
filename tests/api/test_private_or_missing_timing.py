"""Nor does the time that an answer takes tell a stranger what is there: it is compared with what chance makes of it.

No speed is asserted. Two numbers that are both missing are asked for in turns with one that is hidden, and how much the
medians of the missing ones differ by chance says how much the hidden one's may. What differs by its nature does so each
time; what differs because the machine was busy does not, so only a difference that shows three times over counts.
"""

import random
from statistics import median
from time import perf_counter

import pytest

from shared.models import Visibility
from tests.api.registry import Registry
from tests.api.tenants import add_group, add_project

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]

REQUESTS = 2000
SPLITS = 400
"""How often the missing ones are dealt out anew; the largest difference of all these counts."""
MARGIN = 2
"""How many times that difference is chance: it is what one of 400 runs would show, and this is another run."""
RESOLUTION = 0.02
"""Less than this part of an answer's time is told by nobody, and differs by where things lie in memory."""
ATTEMPTS = 3
ROUTES = {
    "project": "/api/v4/projects/{}",
    "index": "/api/v4/projects/{}/packages/pypi/simple/",
    "packages": "/api/v4/projects/{}/packages",
    "group": "/api/v4/groups/{}",
    "group index": "/api/v4/groups/{}/-/packages/pypi/simple/",
}


async def _seconds(registry: Registry, url: str, token: str) -> float:
    began_at = perf_counter()
    answer = await registry.get(url, token=token)
    taken = perf_counter() - began_at
    assert answer.status == 404
    return taken


def _largest_by_chance(times: list[float], *, seed: int) -> float:
    """Return how far the medians of two halves of these lie apart at most, however the halves are dealt out."""
    draw = random.Random(seed)
    pool, differences = list(times), []
    for _ in range(SPLITS):
        draw.shuffle(pool)
        half = len(pool) // 2
        differences.append(abs(median(pool[:half]) - median(pool[half:])))
    return max(differences)


def _allowed(missing: list[float], *, seed: int) -> float:
    return max(MARGIN * _largest_by_chance(missing, seed=seed), RESOLUTION * median(missing))


def test_a_tenth_more_of_the_time_would_be_found_and_what_varies_by_itself_is_not() -> None:
    draw = random.Random(1)
    missing, hidden, slower = ([draw.gauss(1.0, 0.2) for _ in range(REQUESTS * share)] for share in (2, 1, 1))
    assert abs(median(hidden) - median(missing)) <= _allowed(missing, seed=1)
    assert median([1.1 * taken for taken in slower]) - median(missing) > _allowed(missing, seed=1)


@pytest.mark.parametrize("name", ROUTES)
async def test_the_time_of_an_answer_does_not_tell_what_is_hidden(bare_registry: Registry, name: str) -> None:
    registry = bare_registry
    group = await add_group(registry, "hidden", visibility=Visibility.PRIVATE)
    project = await add_project(registry, group, "secret", visibility=Visibility.PRIVATE)
    _, token = await registry.add_user("stranger")
    there = group.id if name.startswith("group") else project.id
    urls = {number: ROUTES[name].format(number) for number in (there, there + 1, there + 2)}
    for number in [*urls] * 100:
        await _seconds(registry, urls[number], token)  # All that is made once is made.
    told: list[str] = []
    for attempt in range(ATTEMPTS):
        hidden, missing = await _measure(registry, urls, token, seed=f"{name} {attempt}")
        seen, allowed = median(hidden) - median(missing), _allowed(missing, seed=attempt)
        told.append(f"{seen * 1e6:+.1f} µs where chance makes {allowed * 1e6:.1f} µs of {median(missing) * 1e6:.0f} µs")
        if abs(seen) <= allowed:
            return
    pytest.fail(f"{name}: {told}")


async def _measure(
    registry: Registry, urls: dict[int, str], token: str, *, seed: str
) -> tuple[list[float], list[float]]:
    """Ask for all in turns, and return how long the first one took each time, and how long the others did."""
    order = random.Random(seed)
    times: dict[int, list[float]] = {number: [] for number in urls}
    for _ in range(REQUESTS):
        for number in order.sample(sorted(urls), len(urls)):
            times[number].append(await _seconds(registry, urls[number], token))
    hidden, *missing = times.values()
    return hidden, [taken for of_one in missing for taken in of_one]
