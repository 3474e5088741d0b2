"""The scrub of a running registry: a file that rots is taken from its pages, and comes back with another upload."""

from pathlib import Path

import pytest

from tests.distributions import build_wheel, wheel_file_name
from tests.e2e.processes import running_larder
from tests.registry_client import RegistryClient, open_client
from tests.waiting import eventually, wait_for

_PATIENCE_SECONDS = 120


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.embedded("damages a file on the disk")
async def test_a_file_that_rots_leaves_its_page_and_comes_back_with_the_next_upload(tmp_path: Path) -> None:
    # So short an interval that the scrub which comes first, ten seconds after the start, finds both files due.
    with running_larder(tmp_path / "var", {"SCRUB_INTERVAL_SECONDS": "1", "API_PROCESSES": "1"}) as larder:
        async with open_client(larder.url, larder.token, larder.project_id) as client:
            contents = {version: build_wheel("pkg", version) for version in ("1.0", "2.0")}
            for version, content in contents.items():
                await _publish(client, version, content)
            rotten = next(
                path
                for path in (tmp_path / "var" / "blobs").rglob("*")
                if path.is_file() and path.read_bytes() == contents["1.0"]
            )
            with rotten.open("r+b") as blob:  # In its place, so that a scrub never finds it cut short instead.
                blob.write(bytes(len(contents["1.0"])))

            async def is_taken_away() -> bool:
                return (await _listed(client)).keys() == {wheel_file_name("pkg", "2.0")}

            await eventually(is_taken_away, what="the scrub finds it", timeout_seconds=_PATIENCE_SECONDS)
            # The page may be quicker than the log.
            (event,) = wait_for(
                lambda: larder.events("package_file.damaged"), what="the log says so", timeout_seconds=_PATIENCE_SECONDS
            )
            assert event["reason"] == "its stored bytes have changed: their SHA-256 is another"

            await _publish(client, "1.0", contents["1.0"])
            links = await _listed(client)
            found = {version: await client.download(links[wheel_file_name("pkg", version)]) for version in contents}
            assert found == contents
    assert larder.events("sweep.failed") == []


async def _publish(client: RegistryClient, version: str, content: bytes) -> None:
    await client.publish(content, file_name=wheel_file_name("pkg", version), name="pkg", version=version)


async def _listed(client: RegistryClient) -> dict[str, str]:
    """Return the links of the page by file name."""
    page = await client.page("pkg")
    assert page is not None
    return {file["filename"]: file["url"] for file in page["files"]}
