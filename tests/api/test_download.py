"""Downloads of files and of the metadata beside them."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.models import Visibility
from tests.api.raw_http import connected, exchange, head, upload_target
from tests.api.registry import Registry, sha256
from tests.distributions import build_sdist, build_wheel, core_metadata, sdist_file_name
from tests.waiting import eventually

pytestmark = pytest.mark.scaled

WHEEL = build_wheel("pkg", "1.0")
NAME = "pkg-1.0-py3-none-any.whl"
PATH = f"files/{sha256(WHEEL)}/{NAME}"
HEAD = {
    "content-type": "application/octet-stream",
    "content-disposition": f"attachment; filename=\"{NAME}\"; filename*=UTF-8''{NAME}",
    "content-transfer-encoding": "binary",
    "content-length": str(len(WHEEL)),
    "accept-ranges": "bytes",
    "etag": f'"{sha256(WHEEL)}"',
    "cache-control": "private, max-age=31536000, immutable",
}


@pytest.fixture
async def published(registry: Registry) -> Registry:
    """A registry with a wheel."""
    assert (await registry.upload(WHEEL)).status == 201
    return registry


@pytest.mark.parametrize("project", [1, "root/packages"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_file_comes_whole(published: Registry, project: int | str, slash: str) -> None:
    answer = await published.get(f"{published.pypi_of(project)}/{PATH}{slash}")
    assert (answer.status, answer.body) == (200, WHEEL)
    assert {name: answer.headers.get(name) for name in HEAD} == HEAD
    assert "content-encoding" not in answer.headers
    assert answer.headers["last-modified"].endswith(" GMT")


@pytest.mark.embedded("damages a file on the disk")
async def test_bytes_that_were_put_right_are_sent_at_once(published: Registry) -> None:
    [blob] = published.blobs_on_disk()
    blob.write_bytes(WHEEL[::-1])
    assert (await published.get(f"{published.pypi}/{PATH}")).body == WHEEL[::-1]
    blob.write_bytes(WHEEL)
    assert (await published.get(f"{published.pypi}/{PATH}")).body == WHEEL


async def test_a_head_has_the_head_of_the_get(published: Registry) -> None:
    got = await published.get(f"{published.pypi}/{PATH}")
    asked = await published.ask("HEAD", f"{published.pypi}/{PATH}", Accept_Encoding="identity")
    assert (asked.status, asked.body) == (200, b"")
    varying = {"date", "x-request-id"}
    assert {k: v for k, v in asked.headers.items() if k not in varying} == {
        k: v for k, v in got.headers.items() if k not in varying
    }


async def test_no_encoding_is_ever_applied(published: Registry) -> None:
    answer = await published.get(f"{published.pypi}/{PATH}", Accept_Encoding="gzip, deflate, br, zstd")
    assert answer.body == WHEEL
    assert "content-encoding" not in answer.headers


offsets = st.integers(min_value=0, max_value=len(WHEEL) + 20)
fuzzing = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzzing
@given(first=offsets, length=offsets)
async def test_a_range_is_that_slice_of_the_file(published: Registry, first: int, length: int) -> None:
    last = first + length
    answer = await published.get(f"{published.pypi}/{PATH}", Range=f"bytes={first}-{last}")
    if first >= len(WHEEL):
        assert (answer.status, answer.body) == (416, b"")
        assert answer.headers["content-range"] == f"bytes */{len(WHEEL)}"
        return
    assert (answer.status, answer.body) == (206, WHEEL[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.body) - 1}/{len(WHEEL)}"


@fuzzing
@given(length=offsets.filter(bool))
async def test_a_suffix_is_the_end_of_the_file(published: Registry, length: int) -> None:
    answer = await published.get(f"{published.pypi}/{PATH}", Range=f"bytes=-{length}")
    assert (answer.status, answer.body) == (206, WHEEL[-length:])


@pytest.mark.parametrize("ranges", ["bytes=0-1,5-6", "items=0-5", "bytes=9-5", "bytes=x-"])
async def test_what_is_no_single_range_brings_the_whole_file(published: Registry, ranges: str) -> None:
    answer = await published.get(f"{published.pypi}/{PATH}", Range=ranges)
    assert (answer.status, answer.body) == (200, WHEEL)


async def test_a_download_that_broke_off_is_resumed_by_tag_or_date(published: Registry) -> None:
    first = await published.get(f"{published.pypi}/{PATH}")
    for condition in (first.headers["etag"], first.headers["last-modified"]):
        answer = await published.get(f"{published.pypi}/{PATH}", Range="bytes=100-", If_Range=condition)
        assert (answer.status, answer.body) == (206, WHEEL[100:])
    answer = await published.get(f"{published.pypi}/{PATH}", Range="bytes=100-", If_Range='"another"')
    assert (answer.status, answer.body) == (200, WHEEL)


async def test_a_file_that_the_client_has_is_not_sent_again(published: Registry) -> None:
    first = await published.get(f"{published.pypi}/{PATH}")
    for condition in ({"If_None_Match": first.headers["etag"]}, {"If_Modified_Since": first.headers["last-modified"]}):
        answer = await published.get(f"{published.pypi}/{PATH}", **condition)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == first.headers["etag"]
        assert "content-length" not in answer.headers


@pytest.mark.embedded("touches a file on the disk")
async def test_the_tag_outlives_a_restart_and_a_touch(published: Registry) -> None:
    [blob] = published.blobs_on_disk()
    blob.touch()
    assert (await published.get(f"{published.pypi}/{PATH}")).headers["etag"] == HEAD["etag"]


async def test_a_file_that_came_before_the_clock_was_set_back_is_not_from_the_future(published: Registry) -> None:
    await published.rows("UPDATE package_files SET created_at = '2999-01-01T00:00:00.000000Z'")

    answer = await published.get(f"{published.pypi}/{PATH}")

    assert parsedate_to_datetime(answer.headers["last-modified"]) <= datetime.now(UTC)


async def test_a_public_projects_files_may_be_kept_by_anybody(registry: Registry) -> None:
    project = await registry.add_project("open", visibility=Visibility.PUBLIC)
    assert (await registry.upload(WHEEL, to=project.id)).status == 201
    answer = await registry.get(f"{registry.pypi_of(project.id)}/{PATH}", token=None)
    assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")


@pytest.mark.parametrize(
    "path",
    [
        f"files/{sha256(b'other')}/{NAME}",
        f"files/{sha256(WHEEL)}/pkg-1.0-py2-none-any.whl",
        f"files/{sha256(WHEEL)}/PKG-1.0-py3-none-any.whl",
        f"files/{sha256(WHEEL).upper()}/{NAME}",
        f"files/nonsense/{NAME}",
        f"files/{sha256(WHEEL)}/a/{NAME}",
        f"files/{sha256(WHEEL)}/pkg-2.0-py3-none-any.whl.metadata",
    ],
)
async def test_digest_and_name_must_both_be_right(published: Registry, path: str) -> None:
    answer = await published.get(f"{published.pypi}/{path}")
    assert (answer.status, answer.body) == (404, b'{"message":"404 Package Not Found"}')


@pytest.mark.parametrize("path", ["../../etc/passwd", "%2e%2e/passwd", "a%2F..%2F..%2Fb", "/etc/passwd", "..", "a%0Ab"])
async def test_a_file_name_that_climbs_is_no_file_path(published: Registry, path: str) -> None:
    target = f"{upload_target(published)}/files/{sha256(WHEEL)}/{path}"
    assert await exchange(published, head("GET", target)) == (
        400,
        b'{"error":"file_identifier should be a valid file path"}',
    )


async def test_the_metadata_of_a_wheel_is_served_beside_it_unmodified(published: Registry) -> None:
    metadata = core_metadata("pkg", "1.0")
    answer = await published.get(f"{published.pypi}/{PATH}.metadata")
    assert (answer.status, answer.body) == (200, metadata)
    assert answer.headers["etag"] == f'"{sha256(metadata)}"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (
        await published.get(f"{published.pypi}/{PATH}.metadata", If_None_Match=answer.headers["etag"])
    ).status == 304
    head_answer = await published.ask("HEAD", f"{published.pypi}/{PATH}.metadata")
    assert (head_answer.status, head_answer.headers["content-length"]) == (200, str(len(metadata)))


async def test_the_metadata_of_an_sdist_is_served_to_who_asks(registry: Registry) -> None:
    sdist, name = build_sdist("pkg", "1.0"), sdist_file_name("pkg", "1.0")
    await registry.upload(sdist, file_name=name)
    answer = await registry.get(f"{registry.pypi}/files/{sha256(sdist)}/{name}.metadata")
    assert (answer.status, answer.body) == (200, core_metadata("pkg", "1.0"))


class TestWithChecksOff:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_UPLOAD_CHECKS": "off"}

    async def test_an_empty_file_is_empty(self, registry: Registry) -> None:
        assert (await registry.upload(b"", file_name="empty.whl")).status == 201
        url = f"{registry.pypi}/files/{sha256(b'')}/empty.whl"
        assert ((await registry.get(url)).status, (await registry.get(url)).body) == (200, b"")
        assert (await registry.get(url, Range="bytes=0-")).status == 416

    async def test_an_unreadable_archive_has_no_metadata(self, registry: Registry) -> None:
        assert (await registry.upload(b"x", file_name="x.whl")).status == 201
        answer = await registry.get(f"{registry.pypi}/files/{sha256(b'x')}/x.whl.metadata")
        assert (answer.status, answer.body) == (404, b'{"message":"404 Package Not Found"}')
        [file] = (await registry.page("pkg"))["files"]
        assert "core-metadata" not in file

    async def test_a_client_that_leaves_midway_leaves_nothing_open(self, registry: Registry) -> None:
        large = bytes(32 * 1024 * 1024)
        assert (await registry.upload(large, file_name="large.whl")).status in (201, 202)
        target = f"{upload_target(registry)}/files/{sha256(large)}/large.whl"
        await eventually(lambda: _is_there(registry, f"{registry.url}{target}"), what="it is there", timeout_seconds=60)
        async with connected(registry) as connection:
            await connection.send(head("GET", target))
            await connection.reader.readexactly(1024)
        await eventually(lambda: _is_closed(registry), what="the file is closed", timeout_seconds=60)

    async def test_a_large_file_arrives_as_it_was_sent(self, registry: Registry) -> None:
        large = bytes(range(256)) * (12 * 4096) + b"the end"
        assert (await registry.upload(large, file_name="large.whl")).status in (201, 202)
        url = f"{registry.pypi}/files/{sha256(large)}/large.whl"
        await eventually(lambda: _is_there(registry, url), what="it is there", timeout_seconds=60)
        assert (await registry.get(url)).body == large
        assert (await registry.get(url, Range="bytes=4194303-8388609")).body == large[4194303:8388610]


async def _is_there(registry: Registry, url: str) -> bool:
    return (await registry.ask("HEAD", url)).status == 200


async def _is_closed(registry: Registry) -> bool:
    return registry.blobs_held_open() == 0
