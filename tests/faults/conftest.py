"""What fault tests share: the table that they fill, and chance that can be repeated."""

import random

import pytest

from tests.faults.report import FaultReport, fault_seed
from tests.redis_server import redis_binary


@pytest.fixture(scope="session", autouse=True)
def _has_a_redis_server() -> None:
    redis_binary()


@pytest.fixture
def fault_report(request: pytest.FixtureRequest) -> FaultReport:
    """Take the rows of this test; the table is printed at the end of the run."""
    return FaultReport(request.node.user_properties)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Give the same chances in each run with the same FAULT_SEED, to each test its own."""
    return random.Random(f"{fault_seed()} {request.node.name}")
