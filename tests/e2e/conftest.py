"""What end-to-end tests share: real registries in temporary data directories."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backends import postgresql_server
from tests.e2e.processes import LarderProcess, running_larder, start_larder
from tests.redis_server import redis_binary, redis_server
from tests.s3_server import s3_server

__all__ = ["postgresql_server", "redis_server", "s3_server"]  # fixtures of their own modules
LarderStarter = Callable[..., LarderProcess]


@pytest.fixture(scope="session", autouse=True)
def _has_a_redis_server() -> None:
    redis_binary()


@pytest.fixture
def larder(tmp_path: Path) -> Iterator[LarderProcess]:
    """A ready `larder serve` of this test alone: it may stop it, kill it, or change what it pleases."""
    with running_larder(tmp_path / "var") as process:
        yield process


@pytest.fixture(scope="module")
def larder_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    """A ready `larder serve` that the tests of one module share: none of them may stop it."""
    with running_larder(tmp_path_factory.mktemp("larder") / "var") as process:
        yield process


@pytest.fixture
def start(tmp_path: Path) -> Iterator[LarderStarter]:
    """Start `larder serve` as often as a test wants, always on the same data directory; all are ended after it.

    `start(API_PROCESSES="1")` returns at once: call `wait_until_ready()` on what it returns.
    """
    started: list[LarderProcess] = []

    def start_one(*, command: list[str] | None = None, **settings: str) -> LarderProcess:
        process = start_larder(tmp_path / "var", settings, command=command)
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.end()
