"""Installers that only want to know what a wheel needs fetch its metadata and not the wheel; the log is the witness.

The newest versions need what is not there, so each installer must look at two versions before it settles on one.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributions import build_wheel, core_metadata, wheel_file_name
from tests.e2e.assortment import Assortment, bulk, stock, upload
from tests.e2e.fetches import Fetched, fetched
from tests.e2e.installers import INSTALLERS, OLD_PIPS
from tests.e2e.processes import LarderProcess, running_larder
from tests.registry_client import open_client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
OLDEST, LATER = f"pip {OLD_PIPS[0]}", f"pip {OLD_PIPS[-1]}"

# Before release 26, `--dry-run` of pip does fetch what would be installed.
WITH_METADATA = {
    LATER: "pip install --dry-run -i $INDEX hungry",
    "newest pip": "pip install --dry-run -i $INDEX hungry",
    "uv pip": "echo hungry | uv pip compile -i $INDEX -",
    "uv": "uv add --no-sync --default-index $INDEX hungry",
    "poetry": "poetry add --lock 'hungry>=1'",
    "pdm": "pdm add --no-sync hungry",
}
TAKES_WHEELS = {LATER: ["hungry 1.0", "needed 1.0"]}
# Of a wheel without metadata beside it the last bytes do: pip and uv ask how long it is, poetry counts from the end.
WITH_RANGES = {
    OLDEST: "pip download --use-feature=fast-deps -d target -i $INDEX bare",
    "newest pip": "pip install --dry-run --use-feature=fast-deps -i $INDEX bare",
    "uv pip": "echo bare | uv pip compile -i $INDEX -",
    "uv": "uv add --no-sync --default-index $INDEX bare",
    "poetry": "poetry add --lock 'bare>=1'",
}


@pytest.fixture(scope="module")
def larder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LarderProcess]:
    """One API process, so that its log is in the order of what was asked; it takes wheels that it cannot read."""
    settings = {"API_PROCESSES": "1", "UPLOAD_CHECKS": "off"}
    with running_larder(tmp_path_factory.mktemp("lazy") / "var", settings) as process:
        yield process


@pytest.fixture(scope="module")
def assortment(larder: LarderProcess) -> Assortment:
    stocked = stock(larder)
    # A backslash is in no name of a member that could be unpacked everywhere, so no metadata is taken out.
    # Of different sizes, by which the log tells them apart.
    for version, need, size in (("1.0", "needed", 100_000), ("2.0", "needed>=5", 110_000)):
        metadata = core_metadata("bare", version, requires_dist=need)
        stocked.wheels[f"bare {version}"] = build_wheel(
            "bare", version, metadata=metadata, extra_files=bulk(size) | {"back\\slash": b""}
        )

    async def publish() -> None:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            for version in ("1.0", "2.0"):
                name = wheel_file_name("bare", version)
                await upload(client, stocked.wheels[f"bare {version}"], name, "bare", version)
            page = await client.page("bare")
            assert page is not None
            assert not any("core-metadata" in file for file in page["files"])

    asyncio.run(publish())
    return stocked


@pytest.mark.parametrize("name", WITH_METADATA)
def test_metadata_is_fetched_and_no_wheel_for_it(
    larder: LarderProcess, assortment: Assortment, name: str, tmp_path: Path
) -> None:
    seen = len(fetched(larder))

    done = assortment.send(INSTALLERS[name], WITH_METADATA[name], tmp_path / "here")

    assert done.returncode == 0, done.stdout + done.stderr
    wanted = [*assortment.metadata.values(), *(assortment.wheels[both] for both in TAKES_WHEELS.get(name, ()))]
    assert Counter(fetched(larder)[seen:]) == Counter(Fetched(200, len(content)) for content in wanted)


@pytest.mark.parametrize("name", WITH_RANGES)
def test_a_wheel_without_metadata_beside_it_is_read_from_its_end(
    larder: LarderProcess, assortment: Assortment, name: str, tmp_path: Path
) -> None:
    seen = len(fetched(larder))

    done = assortment.send(INSTALLERS[name], WITH_RANGES[name], tmp_path / "here")

    assert done.returncode == 0, done.stdout + done.stderr
    answers = fetched(larder)[seen:]
    assert [one for one in answers if one.status == 206], answers
    assert sum(one.size_bytes for one in answers if one.status == 206) < 100_000
    assert Fetched(200, len(assortment.wheels["bare 2.0"])) not in answers
