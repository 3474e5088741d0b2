"""Every test here runs once for each store, and fails when it leaves something that it did not announce."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.ports.blob_store import BlobStore
from tests.contracts.blobs.backends import PREMISES, DiskPremises, Premises
from tests.s3_server import S3Server, s3_credentials, s3_server

__all__ = ["s3_credentials", "s3_server"]  # fixtures of their own module


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test all kinds of stores, or those that are disks where it asks for a disk."""
    if "premises" in metafunc.fixturenames:
        is_about_disks = "disk" in metafunc.fixturenames
        names = [name for name, kind in PREMISES.items() if issubclass(kind, DiskPremises) or not is_about_disks]
        on_disk = pytest.mark.embedded("a disk")
        params = [pytest.param(name, marks=pytest.mark.slow if name == "s3" else on_disk) for name in sorted(names)]
        metafunc.parametrize("premises", params, indirect=True)


@pytest.fixture
def premises(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Premises]:
    """Give one kind of store's premises, and inspect them afterwards."""
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        request.getfixturevalue("s3_credentials")
        (tmp_path / "s3").write_text(server.blob_url(server.new_prefix()), encoding="ascii")
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
    """Give the premises of a store that is a disk."""
    assert isinstance(premises, DiskPremises)
    return premises
