"""What holds for every test, whatever it is about."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

from tests.engines import _engines_of_the_run, pytest_addoption, pytest_collection_modifyitems
from tests.faults.report import pytest_terminal_summary

# Hooks, which only here every process of a run hears, and a fixture of all tests.
__all__ = ["_engines_of_the_run", "pytest_addoption", "pytest_collection_modifyitems", "pytest_terminal_summary"]

_SERVE_OTHERS = ["services.api", "services.worker", "shared"]
# The kernel answers these from memory; drivers ask them whenever they connect.
_QUICK = ["os.access", "os.getcwd", "os.path.abspath", "os.stat"]
# Reads its scripts before a process serves anybody.
_MIGRATIONS = ("shared/metadata/migrate.py", ["expected_revision", "check_revision", "_upgrade"])
# Readers of a WAL wait for nobody, and a look at a counter takes less than a hop to another thread would.
_CHANGE_CHECKS = ("shared/metadata/change_checks.py", ["_look", "_holds", "close"])
# It asks first whether anything is taken.
_LOG_LINES = ("shared/log_lines.py", ["_write", "_write_buffered"])
# Reads what it knows of S3, and the credentials, before a process serves anybody.
_S3_CLIENT = ("shared/blobs/s3/store.py", ["open_s3_blob_store"])


def pytest_configure() -> None:
    """Let no test depend on the speed of the machine: a fresh clone's first text takes a second."""
    settings.register_profile("larder", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("larder")


@pytest.fixture(autouse=True)
def _no_call_blocks_the_loop() -> Iterator[None]:
    """Let a test fail when code that many clients wait for makes a blocking call on the event loop."""
    blockbuster = BlockBuster(_SERVE_OTHERS)
    for name in _QUICK:
        del blockbuster.functions[name]
    for call in blockbuster.functions.values():
        call.can_block_in(*_MIGRATIONS)
        call.can_block_in(*_CHANGE_CHECKS)
        call.can_block_in(*_LOG_LINES)
        call.can_block_in(*_S3_CLIENT)
    blockbuster.activate()
    yield
    blockbuster.deactivate()
