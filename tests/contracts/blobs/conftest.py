"""Every test here runs once for each store, and fails when it leaves something that it did not announce."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.ports.blob_store import BlobStore
from tests.contracts.blobs.backends import PREMISES, DiskPremises, Premises


@pytest.fixture(params=sorted(PREMISES))
def premises(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Premises]:
    """Give one kind of store's premises, and inspect them afterwards."""
    found = PREMISES[request.param](tmp_path)
    yield found
    assert found.pieces() == found.expected, "the test left something, or lost something"
    assert found.open_descriptors() == [], "the test left descriptors open"


@pytest.fixture
async def store(premises: Premises) -> AsyncIterator[BlobStore]:
    """Give an open store."""
    async with premises.open_store() as opened:
        yield opened


@pytest.fixture
def disk(premises: Premises) -> DiskPremises:
    """Give the premises of a store that is a disk; other stores skip the test."""
    if not isinstance(premises, DiskPremises):
        pytest.skip("this is about disks")
    return premises
