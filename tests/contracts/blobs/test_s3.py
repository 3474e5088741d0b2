"""What only a store in a bucket can do wrong: parts, lost answers, cut streams, bytes that change on their way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from shared.blobs.s3 import calls
from shared.blobs.s3.location import parse_s3_url
from shared.blobs.s3.place import RewindableBody
from shared.blobs.s3.store import open_s3_blob_store
from shared.errors import BlobMissing, BlobStoreUnavailable
from shared.ports.blob_store import BlobStore
from tests.contracts.blobs.backends import S3Premises
from tests.contracts.blobs.drive import (
    MIB,
    NEXT_DAY,
    NOON,
    Interrupted,
    content_of,
    keys_of,
    new_key,
    put,
    receipt_of,
    some_bytes,
)
from tests.e2e.cutting_proxy import CuttingProxy, cutting_proxy, listening
from tests.s3_server import BUCKET, S3Server, new_s3_server, s3_client

pytestmark = pytest.mark.slow

_MOST_WAITS = 60
_CONTENT = some_bytes(12 * MIB + 7)


@pytest.fixture
def bucket(tmp_path: Path, s3_server: S3Server, s3_credentials: object) -> S3Premises:
    """Give a prefix of the test's own."""
    (tmp_path / "s3").write_text(s3_server.blob_url(s3_server.new_prefix()), encoding="ascii")
    return S3Premises(tmp_path)


@pytest.fixture
async def store(bucket: S3Premises) -> AsyncIterator[BlobStore]:
    """Give a store whose parts are as small as S3 takes them."""
    async with bucket.open_store() as opened:
        yield opened


async def test_a_blob_of_several_parts_is_read_back_whole_and_by_ranges(store: BlobStore, bucket: S3Premises) -> None:
    key = new_key()

    receipt = await put(store, key, _CONTENT)

    assert receipt == receipt_of(_CONTENT)
    assert await store.size_of(key) == len(_CONTENT)
    assert await content_of(store, key) == _CONTENT
    assert await content_of(store, key, offset=5 * MIB - 3, length=10) == _CONTENT[5 * MIB - 3 : 5 * MIB + 7]
    assert bucket.pieces() == {key}


async def test_the_store_has_the_digest_of_every_blob(
    store: BlobStore, bucket: S3Premises, s3_server: S3Server
) -> None:
    small, large = new_key(), new_key()
    await put(store, small, b"abc")
    await put(store, large, _CONTENT)

    told = [
        s3_server.client.head_object(Bucket=BUCKET, Key=bucket.location.prefix + key, ChecksumMode="ENABLED")
        for key in (small, large)
    ]

    assert told[0]["ChecksumSHA256"] == "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
    assert told[1]["ChecksumSHA256"].endswith("-3")


@pytest.mark.parametrize("size_bytes", [3, len(_CONTENT)])
async def test_bytes_that_change_on_their_way_are_not_taken(
    store: BlobStore, bucket: S3Premises, monkeypatch: pytest.MonkeyPatch, size_bytes: int
) -> None:
    async def pieces(body: RewindableBody) -> AsyncIterator[bytes]:
        damaged = bytearray(body.read())
        damaged[-1] ^= 1
        yield bytes(damaged)
        body.seek(0)

    monkeypatch.setattr(RewindableBody, "__aiter__", pieces)

    with pytest.raises(BlobStoreUnavailable, match="BadDigest"):
        await put(store, new_key(), _CONTENT[:size_bytes])

    assert bucket.pieces() == set()


async def test_a_key_that_is_taken_keeps_its_first_blob_of_several_parts(store: BlobStore, bucket: S3Premises) -> None:
    key = new_key()
    await put(store, key, _CONTENT)

    with pytest.raises(BlobStoreUnavailable, match="taken"):
        await put(store, key, _CONTENT[::-1])

    assert await content_of(store, key) == _CONTENT
    assert bucket.pieces() == {key}


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
async def test_a_writer_of_parts_cancelled_at_any_wait_leaves_nothing(
    store: BlobStore, bucket: S3Premises, times: int
) -> None:
    for wait in range(1, _MOST_WAITS):
        interrupted = Interrupted(put(store, new_key(), _CONTENT, chunk_bytes=MIB), wait=wait, times=times)
        try:
            await interrupted
        except asyncio.CancelledError:
            assert bucket.pieces() == set()
            assert bucket.open_descriptors() == []
            continue
        assert not interrupted.was_cancelled
        assert wait > 4
        return
    pytest.fail("the upload did not come to its end")


@pytest.mark.slow
async def test_a_loop_that_cancels_all_its_tasks_leaves_no_parts(store: BlobStore, bucket: S3Premises) -> None:
    for turns in range(20, 400, 40):
        upload = asyncio.create_task(put(store, new_key(), _CONTENT, chunk_bytes=MIB))
        for _ in range(turns):
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=30)

        assert upload.cancelled()
        assert bucket.pieces() == set()


async def test_parts_that_a_killed_process_left_are_found_by_the_day_of_their_key(
    store: BlobStore, bucket: S3Premises, s3_server: S3Server
) -> None:
    old, young = new_key(NOON - timedelta(days=1)), new_key()
    for name in (old, young, "something else"):
        s3_server.client.create_multipart_upload(Bucket=BUCKET, Key=bucket.location.prefix + name)

    async with aclosing(store.unfinished(before=NEXT_DAY)) as unfinished:
        assert {key async for key in unfinished} == {old, young}
    assert await store.sweep_unfinished(before=NOON.date()) == 1

    assert bucket.pieces() == {f"{young} in parts", "something else in parts"}


async def test_what_is_no_blob_is_not_listed(store: BlobStore, bucket: S3Premises, s3_server: S3Server) -> None:
    for name in ("2026/03/04/notes.txt", "readme", "~", "2026/03/05/" + new_key()[11:]):
        s3_server.client.put_object(Bucket=BUCKET, Key=bucket.location.prefix + name, Body=b"")
    s3_server.client.put_object(Bucket=BUCKET, Key=bucket.location.prefix[:-1] + "2/" + new_key(), Body=b"")
    await put(store, key := new_key(), b"")

    assert await keys_of(store) == [key]


async def test_a_stream_that_is_cut_is_taken_up_again(bucket: S3Premises, s3_server: S3Server) -> None:
    async with (
        cutting_proxy(s3_server.endpoint_url, cut_after_bytes=2 * MIB, cuts_wanted=3) as line,
        _store_behind(line, s3_server, bucket) as store,
    ):
        await put(store, key := new_key(), _CONTENT)
        assert await content_of(store, key, offset=1) == _CONTENT[1:]

    assert line.cuts == 3
    assert bucket.pieces() == {key}


class LosingProxy(CuttingProxy):
    """Cuts the line where an answer begins, so that nobody hears what became of the request."""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(64 * 1024):
                if self.cuts < self.cuts_wanted:
                    self.cuts += 1
                    return
                writer.write(chunk)
                await writer.drain()


@pytest.mark.parametrize("size_bytes", [3, len(_CONTENT)])
async def test_a_write_whose_answer_was_lost_is_done_all_the_same(
    bucket: S3Premises, s3_server: S3Server, size_bytes: int
) -> None:
    content = _CONTENT[:size_bytes]
    async with _losing_proxy(s3_server) as line, _store_behind(line, s3_server, bucket) as store:
        key = new_key()
        async with store.create(key) as writer:
            await writer.write(content)
            line.cuts_wanted = 1
            receipt = await writer.commit()
        assert line.cuts == 1
        assert receipt == receipt_of(content)
        assert await content_of(store, key) == content

    assert bucket.pieces() == {key}


async def test_another_blob_under_the_key_is_not_taken_for_a_lost_write(
    store: BlobStore, bucket: S3Premises, s3_server: S3Server
) -> None:
    await put(store, key := new_key(), b"first")
    async with _losing_proxy(s3_server) as line, _store_behind(line, s3_server, bucket) as troubled:
        line.cuts_wanted = 1
        with pytest.raises(BlobStoreUnavailable, match="taken"):
            await put(troubled, key, b"other")

    assert await content_of(store, key) == b"first"


async def test_a_bucket_that_is_not_there_is_no_missing_blob(s3_server: S3Server, s3_credentials: object) -> None:
    url = s3_server.blob_url("prefix").replace(BUCKET, "no-such-bucket")

    async with open_s3_blob_store(parse_s3_url(url)) as store:
        for question in (store.check(), store.name(), store.locate(new_key()), anext(store.read(new_key()))):
            with pytest.raises(BlobStoreUnavailable, match="NoSuchBucket"):
                await question


async def test_without_credentials_nothing_is_tried_again_and_the_error_tells_no_address(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    async with open_s3_blob_store(parse_s3_url(s3_server.blob_url("prefix"))) as store:
        with pytest.raises(BlobStoreUnavailable) as caught:
            await store.check()

    assert str(caught.value) == "the store does not answer: NoCredentialsError"


async def test_a_wrong_secret_is_told_by_the_stores_own_word(
    s3_server: S3Server, s3_credentials: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")

    async with open_s3_blob_store(parse_s3_url(s3_server.blob_url("prefix"))) as store:
        with pytest.raises(BlobStoreUnavailable, match="403 SignatureDoesNotMatch"):
            await store.check()


async def test_a_store_in_trouble_is_asked_no_more_often_than_the_budget_allows() -> None:
    asked = 0

    async def fail() -> None:
        nonlocal asked
        asked += 1
        raise ConnectionResetError

    call = calls.Calls()
    call._budget = 5.0
    for _ in range(20):
        with pytest.raises(BlobStoreUnavailable):
            await call(fail)

    assert asked == 20 + 5


@pytest.mark.slow
async def test_what_hangs_is_given_up_in_time(bucket: S3Premises) -> None:
    with new_s3_server() as server:
        async with open_s3_blob_store(parse_s3_url(server.blob_url("prefix"))) as store:
            await put(store, key := new_key(), _CONTENT)
            server.freeze()
            async with asyncio.timeout(3 * calls.CALL_SECONDS):
                with pytest.raises(BlobStoreUnavailable):
                    await put(store, new_key(), b"abc")
            server.thaw()
            assert await content_of(store, key) == _CONTENT


@pytest.mark.slow
async def test_a_server_that_dies_in_the_middle_of_an_upload_and_comes_back_has_nothing_of_it(
    bucket: S3Premises,
) -> None:
    with new_s3_server() as server:
        async with open_s3_blob_store(parse_s3_url(server.blob_url("prefix")), part_bytes=5 * MIB) as store:
            with pytest.raises(BlobStoreUnavailable):
                await _kill_midway(store, server)
            with pytest.raises(BlobStoreUnavailable):
                await store.check()

            server.start()

            await store.check()
            assert await keys_of(store) == []
            await store.sweep_unfinished(before=NEXT_DAY)
            assert not s3_client(server.endpoint_url).list_multipart_uploads(Bucket=BUCKET).get("Uploads")
            await put(store, key := new_key(), _CONTENT)
            assert await content_of(store, key) == _CONTENT
            with pytest.raises(BlobMissing):
                await content_of(store, new_key())


async def _kill_midway(store: BlobStore, server: S3Server) -> None:
    async with store.create(new_key()) as writer:
        await writer.write(_CONTENT[: 6 * MIB])
        server.kill()
        await writer.write(_CONTENT[6 * MIB :])
        await writer.commit()


@asynccontextmanager
async def _losing_proxy(server: S3Server) -> AsyncIterator[LosingProxy]:
    proxy = LosingProxy(int(server.endpoint_url.rpartition(":")[2]), 0, 0)
    async with listening(proxy):
        yield proxy


@asynccontextmanager
async def _store_behind(line: CuttingProxy, server: S3Server, bucket: S3Premises) -> AsyncIterator[BlobStore]:
    url = server.blob_url(bucket.location.prefix, endpoint_url=line.url)
    async with open_s3_blob_store(parse_s3_url(url), part_bytes=5 * MIB) as store:
        yield store
