"""What end-to-end tests share: real registries in temporary data directories."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backends import PostgresqlServer, postgresql_server
from tests.e2e.processes import LarderProcess, running_larder, start_larder
from tests.redis_server import redis_binary, redis_server
from tests.s3_server import CREDENTIALS, S3Server, s3_server

__all__ = ["postgresql_server", "redis_server", "s3_server"]  # fixtures of their own modules
LarderStarter = Callable[..., LarderProcess]


@pytest.fixture(scope="session", autouse=True)
def _has_a_redis_server() -> None:
    redis_binary()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the tests of a module that says RUNS_ON_ALL_ENGINES run once more on what larger registries stand on."""
    if "engines" in metafunc.fixturenames and getattr(metafunc.module, "RUNS_ON_ALL_ENGINES", False):
        params = ["sqlite-disk", pytest.param("postgresql-s3", marks=pytest.mark.slow)]
        metafunc.parametrize("engines", params, indirect=True, scope="module")


@pytest.fixture(scope="module")
def engines(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Give the settings by which a registry finds its rows and its files; none of them on one machine."""
    if getattr(request, "param", "sqlite-disk") == "sqlite-disk":
        yield {}
        return
    postgresql: PostgresqlServer = request.getfixturevalue("postgresql_server")
    s3: S3Server = request.getfixturevalue("s3_server")
    name = postgresql.create_database()
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in CREDENTIALS.items():
            patch.setenv(variable, value)
        yield {"DATABASE_URL": postgresql.setting(name), "BLOB_URL": s3.blob_url(s3.new_prefix())}
    postgresql.drop_database(name)


@pytest.fixture
def larder(tmp_path: Path) -> Iterator[LarderProcess]:
    """A ready `larder serve` of this test alone: it may stop it, kill it, or change what it pleases."""
    with running_larder(tmp_path / "var") as process:
        yield process


@pytest.fixture(scope="module")
def larder_of_module(tmp_path_factory: pytest.TempPathFactory, engines: dict[str, str]) -> Iterator[LarderProcess]:
    """A ready `larder serve` that the tests of one module share: none of them may stop it."""
    with running_larder(tmp_path_factory.mktemp("larder") / "var", engines) as process:
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
