"""What the registries of a run stand on, as `--engines` says: SQLite and disk, or PostgreSQL and S3.

Whoever starts a registry starts it on a data directory and asks `settings_of` what else it needs. Embedded, that is
nothing. Scaled, each data directory has a database and a prefix of its own on servers that the run shares, and finds
them again after a restart.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from shared.blob_keys import check_blob_key
from shared.metadata.migrate import migrate
from shared.settings import Settings, read_settings
from tests.backends import PostgresqlServer, new_postgresql_server, run_apart
from tests.s3_server import CREDENTIALS, S3Place, S3Server, new_s3_server

EMBEDDED, SCALED = "embedded", "scaled"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--engines",
        choices=(EMBEDDED, SCALED),
        default=EMBEDDED,
        help="what registries stand on: SQLite and disk, or PostgreSQL and S3 from wheels",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, on other engines, what is about SQLite or the disk."""
    if config.getoption("engines") == EMBEDDED:
        return
    left_out = [item for item in items if item.get_closest_marker("embedded")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@dataclass(slots=True)
class _Servers:
    """The servers of the run, which start when they are first needed."""

    is_needed: bool = False
    running: ExitStack = field(default_factory=ExitStack)
    started: tuple[PostgresqlServer, S3Server] | None = None
    migrated: str = ""
    places: dict[Path, dict[str, str]] = field(default_factory=dict)

    def start(self) -> tuple[PostgresqlServer, S3Server]:
        if self.started is None:
            self.started = (
                self.running.enter_context(new_postgresql_server()),
                self.running.enter_context(new_s3_server()),
            )
        return self.started


_SERVERS = _Servers()


@pytest.fixture(scope="session", autouse=True)
def _engines_of_the_run(request: pytest.FixtureRequest) -> Iterator[None]:
    _SERVERS.is_needed = request.config.getoption("engines") == SCALED
    with pytest.MonkeyPatch.context() as patch, _SERVERS.running:
        for name, value in CREDENTIALS.items() if _SERVERS.is_needed else ():
            patch.setenv(name, value)  # Stores and the processes of registries look for them there.
        yield


def settings_of(data_dir: Path) -> dict[str, str]:
    """Return what else a registry on this data directory is told: {"DATABASE_URL": ..., "BLOB_URL": ...}.

    Its database and its prefix are empty when it first asks.
    """
    if not _SERVERS.is_needed:
        return {}
    if data_dir not in _SERVERS.places:
        postgresql, s3 = _SERVERS.start()
        database = postgresql.setting(postgresql.create_database())
        _SERVERS.places[data_dir] = {"DATABASE_URL": database, "BLOB_URL": s3.blob_url(s3.new_prefix())}
    return dict(_SERVERS.places[data_dir])


def engines_of(data_dir: Path) -> Settings:
    """Return the settings of the registry on this data directory, as far as they tell of its engines."""
    told = {"DATA_DIR": str(data_dir), **settings_of(data_dir)}
    return read_settings({f"LARDER_{name}": value for name, value in told.items()})


@contextmanager
def migrated_settings() -> Iterator[dict[str, str]]:
    """Give the same for a registry that lasts as long as the block; its database is migrated."""
    if not _SERVERS.is_needed:
        yield {}
        return
    postgresql, s3 = _SERVERS.start()
    if not _SERVERS.migrated:
        _SERVERS.migrated = postgresql.create_database()
        run_apart(migrate(postgresql.url(_SERVERS.migrated)))
    database = postgresql.create_database(template=_SERVERS.migrated)
    yield {"DATABASE_URL": postgresql.setting(database), "BLOB_URL": s3.blob_url(s3.new_prefix())}
    postgresql.drop_database(database)


def blobs_at(blob_url: str) -> list[str]:
    """Return the names of all blobs at a value of LARDER_BLOB_URL, and of what writers have begun."""
    if blob_url.startswith("file:"):
        root = Path(unquote(urlsplit(blob_url).path))
        return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    place = S3Place.of(blob_url)
    return [key for key in (*place.names(), *place.uploads()) if is_key(key)]


def is_key(name: str) -> bool:
    """Say whether this is the name of a blob, and not of what else lies beside blobs."""
    try:
        check_blob_key(name)
    except ValueError:
        return False
    return True
