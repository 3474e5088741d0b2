"""Installers whose download is cut get the right bytes all the same: where they can go on, Larder lets them."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.assortment import Assortment, stock, upload
from tests.e2e.cutting_proxy import cutting_proxy
from tests.e2e.fetches import Fetched, fetched
from tests.e2e.installers import INSTALLERS
from tests.e2e.processes import LarderProcess, running_larder
from tests.registry_client import open_client

pytestmark = [pytest.mark.slow, pytest.mark.scaled, pytest.mark.timeout(300)]
CUTS, CUT_AFTER_BYTES = 2, 3 * 1024 * 1024
CONTENT = os.urandom(8 * 1024 * 1024)
WHEEL = build_wheel("heavy", "1.0", extra_files={"heavy.bin": CONTENT})

# pip resumes since 25.1. uv starts anew, and only pip and poetry ask for the rest.
COMMANDS = {
    "newest pip": "pip install --resume-retries 3 -i $INDEX -t target heavy",
    "uv pip": "uv pip install -i $INDEX --target target heavy",
    "uv": "uv add --default-index $INDEX heavy",
    "poetry": "POETRY_REQUESTS_MAX_RETRIES=3 poetry add heavy",
}
GO_ON = {"newest pip", "poetry"}


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    """One API process, so that its log is in the order of what was asked."""
    with running_larder(tmp_path_factory.mktemp("cuts") / "var", {"API_PROCESSES": "1"}) as process:
        yield process


@pytest.fixture(scope="module")
def assortment(larder: LarderProcess) -> Assortment:
    async def publish() -> None:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            await upload(client, WHEEL, wheel_file_name("heavy", "1.0"), "heavy", "1.0")

    asyncio.run(publish())
    return stock(larder)


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_download_that_is_cut_twice_is_finished(
    larder: LarderProcess, assortment: Assortment, name: str, tmp_path: Path
) -> None:
    async with cutting_proxy(larder.url, cut_after_bytes=CUT_AFTER_BYTES, cuts_wanted=CUTS) as proxy:
        behind_it = replace(assortment, url=proxy.url)
        done = await asyncio.to_thread(behind_it.send, INSTALLERS[name], COMMANDS[name], tmp_path / "here")

    assert done.returncode == 0, done.stdout + done.stderr
    assert proxy.cuts == CUTS
    (installed,) = (tmp_path / "here").rglob("heavy.bin")
    assert installed.read_bytes() == CONTENT
    # What is cut has no status, unless all of it had left the registry before.
    last = fetched(larder)[-1]
    assert last.status == 206 if name in GO_ON else last == Fetched(200, len(WHEEL))
