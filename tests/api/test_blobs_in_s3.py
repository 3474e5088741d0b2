"""A registry whose files are in S3: uploads, streamed downloads, and downloads that are sent to the store itself."""

import random
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from shared.settings import Settings
from shared.usecases import readiness
from shared.usecases.blob_store_name import require_own_blob_store
from tests.api.registry import Registry, sha256
from tests.distributions import build_wheel
from tests.s3_server import BUCKET, S3Server, s3_credentials, s3_server

pytestmark = pytest.mark.slow

__all__ = ["s3_credentials", "s3_server"]  # fixtures of their own module

SMALL = build_wheel("pkg", "1.0")
NAME = "pkg-1.0-py3-none-any.whl"
LARGE = build_wheel("large", "1.0", extra_files={"large.bin": random.Random(1).randbytes(200_000)})
LARGE_NAME = "large-1.0-py3-none-any.whl"


@pytest.fixture
def prefix(s3_server: S3Server) -> str:
    return s3_server.new_prefix()


@pytest.fixture
def environment(s3_server: S3Server, s3_credentials: dict[str, str], prefix: str) -> dict[str, str]:
    return {"LARDER_BLOB_URL": s3_server.blob_url(prefix), "LARDER_BLOB_REDIRECT_BYTES": "100KiB"}


@pytest.fixture
async def published(registry: Registry) -> Registry:
    """Give a registry with a small and a large wheel."""
    assert (await registry.upload(SMALL)).status == 201
    assert (await registry.upload(LARGE, file_name=LARGE_NAME, name="large")).status == 201
    return registry


def _objects(server: S3Server, prefix: str) -> list[str]:
    listing = server.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    names = [entry["Key"].removeprefix(f"{prefix}/") for entry in listing.get("Contents", [])]
    return [name for name in names if not name.startswith(".")]


def _large(registry: Registry) -> str:
    return f"{registry.pypi}/files/{sha256(LARGE)}/{LARGE_NAME}"


async def _fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Go to the store as a client does that was sent there: with nothing of what the registry was told."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read()


async def test_a_small_file_is_streamed_whole_and_by_ranges(published: Registry) -> None:
    url = f"{published.pypi}/files/{sha256(SMALL)}/{NAME}"

    whole = await published.get(url)
    part = await published.get(url, Range="bytes=5-14")
    head = await published.ask("HEAD", url)

    assert (whole.status, whole.body) == (200, SMALL)
    assert (part.status, part.body, part.headers["content-range"]) == (206, SMALL[5:15], f"bytes 5-14/{len(SMALL)}")
    assert (head.status, head.headers["content-length"]) == (200, str(len(SMALL)))


async def test_a_large_file_is_lent_by_the_store_for_a_moment(published: Registry) -> None:
    sent = await published.get(_large(published))

    assert (sent.status, sent.body) == (HTTPStatus.FOUND, b"")
    assert sent.headers["cache-control"] == "private, no-store"
    query = parse_qs(urlsplit(sent.headers["location"]).query)
    assert query["X-Amz-Expires"] == ["60"]
    status, headers, body = await _fetch(sent.headers["location"])
    assert (status, body) == (200, LARGE)
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == f"attachment; filename=\"{LARGE_NAME}\"; filename*=UTF-8''{LARGE_NAME}"
    assert headers["cache-control"] == "private, no-store"


async def test_a_range_of_a_large_file_is_lent_too(published: Registry) -> None:
    sent = await published.get(_large(published), Range="bytes=-100")

    assert sent.status == HTTPStatus.FOUND
    status, headers, body = await _fetch(sent.headers["location"], Range="bytes=-100")
    assert (status, body) == (206, LARGE[-100:])
    assert headers["content-range"] == f"bytes {len(LARGE) - 100}-{len(LARGE) - 1}/{len(LARGE)}"


async def test_what_the_store_cannot_answer_is_answered_here(published: Registry) -> None:
    url, etag = _large(published), f'"{sha256(LARGE)}"'

    head = await published.ask("HEAD", url)
    known = await published.get(url, If_None_Match=etag)
    resumed = await published.get(url, Range="bytes=10-19", If_Range=etag)
    changed = await published.get(url, If_Match='"another"')
    beyond = await published.get(url, Range=f"bytes={len(LARGE)}-")

    assert (head.status, head.headers["content-length"], head.headers["accept-ranges"]) == (
        200,
        str(len(LARGE)),
        "bytes",
    )
    assert (known.status, known.headers["etag"]) == (304, etag)
    assert (resumed.status, resumed.body) == (206, LARGE[10:20])
    assert changed.status == 412
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(LARGE)}")


async def test_nobody_is_lent_what_he_may_not_read(published: Registry) -> None:
    for token in (None, "glpat-nobody-has-this-token"):
        answer = await published.get(_large(published), token=token)
        assert answer.status == 401
        assert "location" not in answer.headers


async def test_a_refused_upload_leaves_no_object(registry: Registry, s3_server: S3Server, prefix: str) -> None:
    refused = await registry.upload(b"no wheel")
    assert refused.status == 400

    assert _objects(s3_server, prefix) == []


async def test_a_bucket_of_another_registry_makes_a_process_unready(
    registry: Registry, s3_server: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
    await require_own_blob_store(registry.backends.store, registry.backends.blobs)
    assert (await registry.get("/-/readiness")).status == 200

    await registry.backends.blobs.give_name("f" * 32)

    answer = await registry.get("/-/readiness?all=1")
    assert answer.status == 503
    assert answer.json["blob_store_check"][0]["message"].startswith("is not the one of this database")


async def test_settings_show_no_address_of_the_store(settings: Settings) -> None:
    assert "s3://" not in repr(settings)
