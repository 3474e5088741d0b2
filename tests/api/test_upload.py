"""Uploads that are taken, and those that a rule refuses: nothing of the latter remains."""

import base64
import hashlib
from pathlib import Path

import pytest

from tests.api.registry import NOTHING, ROOT_TOKEN, Registry, sha256
from tests.distributions import build_sdist, build_wheel, sdist_file_name, wheel_file_name
from tests.redis_server import RedisServer

pytestmark = pytest.mark.scaled

WHEEL = build_wheel("pkg", "1.0", requires_python=">=3.8")
CREATED = b'{"message":"201 Created"}'


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("to", [1, "root/packages", "ROOT/Packages"])
async def test_an_upload_is_on_its_page_and_downloads_at_once(
    registry: Registry, method: str, slash: str, to: int | str
) -> None:
    answer = await registry.upload(WHEEL, method=method, slash=slash, to=to)
    assert (answer.status, answer.body) == (201, CREATED)
    assert answer.headers["content-type"] == "application/json"

    [file] = (await registry.page("pkg"))["files"]
    assert (await registry.get(file["url"].partition("#")[0])).body == WHEEL
    assert file["hashes"] == {"sha256": sha256(WHEEL)}


async def test_sdists_are_taken_too_and_land_beside_the_wheel(registry: Registry) -> None:
    assert (await registry.upload(WHEEL)).status == 201
    sdist = build_sdist("pkg", "1.0")
    assert (await registry.upload(sdist, file_name=sdist_file_name("pkg", "1.0"))).status == 201
    assert [file["filename"] for file in (await registry.page("pkg"))["files"]] == [
        "pkg-1.0-py3-none-any.whl",
        "pkg-1.0.tar.gz",
    ]


@pytest.mark.parametrize("username", ["root", "__token__", "", "gitlab-ci-token"])
async def test_a_token_as_the_password_publishes_under_any_username(registry: Registry, username: str) -> None:
    pair = base64.b64encode(f"{username}:{ROOT_TOKEN}".encode()).decode()
    answer = await registry.ask("GET", f"{registry.pypi}/simple/", token=None, Authorization=f"Basic {pair}")
    assert answer.status == 200


async def test_all_that_twine_sends_is_taken_whether_anybody_knows_it_or_not(registry: Registry) -> None:
    answer = await registry.upload(
        WHEEL,
        **{
            ":action": "file_upload",
            "protocol_version": "1",
            "filetype": "bdist_wheel",
            "pyversion": "py3",
            "metadata_version": "2.1",
            "summary": "s" * 300,
            "requires_python": ">=3.8",
            "md5_digest": hashlib.md5(WHEEL, usedforsecurity=False).hexdigest().upper(),
            "sha256_digest": sha256(WHEEL).upper(),
            "blake2_256_digest": hashlib.blake2b(WHEEL, digest_size=32).hexdigest(),
            "attestations": "[]",
        },
    )
    assert (answer.status, answer.body) == (201, CREATED)


async def test_the_same_bytes_again_are_a_success_and_change_nothing(registry: Registry) -> None:
    await registry.upload(WHEEL)
    before = await registry.page("pkg")
    answer = await registry.upload(WHEEL)
    assert (answer.status, answer.body) == (201, CREATED)
    assert await registry.page("pkg") == before
    assert await registry.traces() == {"packages": 1, "package_files": 1, "blobs": 1}


async def test_other_bytes_under_the_same_name_are_refused_in_every_clients_words(registry: Registry) -> None:
    await registry.upload(WHEEL)
    answer = await registry.upload(build_wheel("pkg", "1.0"))
    assert (answer.status, answer.body) == (
        400,
        b'{"message":"400 Bad request - Validation failed: File name has already been taken (file already exists)"}',
    )
    assert await registry.traces() == {"packages": 1, "package_files": 1, "blobs": 1}


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"sha256_digest": "0" * 64}, b"sha256_digest does not match the uploaded file"),
        ({"md5_digest": "0" * 32}, b"md5_digest does not match the uploaded file"),
        ({"blake2_256_digest": "0" * 64}, b"blake2_256_digest does not match the uploaded file"),
        ({"name": ".$/@!^*"}, b"Name is invalid"),
        ({"name": ""}, b"Name is invalid"),
        ({"version": "one"}, b"Version is invalid"),
        ({"name": "other"}, b"File name pkg-1.0-py3-none-any.whl is not one of package other"),
        ({"version": "2.0"}, b"File name pkg-1.0-py3-none-any.whl is not one of version 2.0"),
    ],
)
async def test_what_breaks_a_rule_is_refused_and_leaves_no_trace(
    registry: Registry, fields: dict[str, str], body: bytes
) -> None:
    answer = await registry.upload(WHEEL, **fields)
    assert (answer.status, answer.body) == (400, b'{"message":"400 Bad request - Validation failed: ' + body + b'"}')
    assert await registry.traces() == NOTHING


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"sha256_digest": "0" * 63}, b'{"error":"sha256_digest is invalid"}'),
        ({"sha256_digest": "g" * 64}, b'{"error":"sha256_digest is invalid"}'),
        ({"md5_digest": "0", "sha256_digest": "0"}, b'{"error":"md5_digest is invalid, sha256_digest is invalid"}'),
    ],
)
async def test_a_malformed_field_is_named(registry: Registry, fields: dict[str, str], body: bytes) -> None:
    answer = await registry.upload(WHEEL, **fields)
    assert (answer.status, answer.body) == (400, body)
    assert await registry.traces() == NOTHING


@pytest.mark.parametrize("file_name", ["../../etc/passwd", "/etc/passwd", "..\\..\\boot.ini", "..", "pkg-1.0.exe"])
async def test_a_file_name_that_is_no_distributions_is_refused(registry: Registry, file_name: str) -> None:
    answer = await registry.upload(WHEEL, file_name=file_name)
    assert answer.status == 400
    assert answer.json["message"].startswith(
        "400 Bad request - Validation failed: File name is that of no wheel or sdist"
    )
    assert await registry.traces() == NOTHING


async def test_an_archive_that_is_none_is_refused_with_the_workers_reason(registry: Registry) -> None:
    answer = await registry.upload(b"not a zip")
    assert answer.status == 400
    assert answer.json["message"].startswith("400 Bad request - Validation failed: ")
    assert await registry.traces() == NOTHING


async def test_without_redis_an_upload_is_safe_and_told_to_be_pending(
    bare_registry: Registry, redis_server: RedisServer
) -> None:
    await redis_server.kill()
    answer = await bare_registry.upload(WHEEL)
    assert (answer.status, answer.body) == (202, b'{"message":"202 Accepted"}')
    assert await bare_registry.traces() == {"packages": 1, "package_files": 1, "blobs": 1}
    assert (await bare_registry.get(f"{bare_registry.pypi}/simple/pkg/")).status == 404


class TestWithChecksOff:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_UPLOAD_CHECKS": "off"}

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("pkg-1!2.0.tar.gz", "pkg-1_2.0.tar.gz"),
            ("../../etc/passwd", "passwd"),
            ("..", "_.."),
            ("no-dot", "no-dot"),
            ("p\u00e4ckchen.whl", "p\u00e4ckchen.whl"),
            ("odd.metadata", "odd.metadata"),
        ],
    )
    async def test_any_bytes_are_taken_under_a_sanitized_name(self, registry: Registry, sent: str, kept: str) -> None:
        assert (await registry.upload(b"any bytes", file_name=sent)).status == 201
        [file] = (await registry.page("pkg"))["files"]
        assert file["filename"] == kept
        assert (await registry.get(file["url"].partition("#")[0])).body == b"any bytes"

    async def test_digests_are_verified_all_the_same(self, registry: Registry) -> None:
        assert (await registry.upload(b"any bytes", sha256_digest="0" * 64)).status == 400
        assert await registry.traces() == NOTHING


@pytest.mark.embedded("removes a file from the disk")
async def test_a_file_that_vanished_from_the_disk_is_not_found(registry: Registry) -> None:
    await registry.upload(WHEEL)
    [file] = (await registry.page("pkg"))["files"]
    blob: Path = registry.blobs_on_disk()[0]
    blob.unlink()
    answer = await registry.get(file["url"].partition("#")[0])
    assert (answer.status, answer.body) == (404, b'{"message":"404 Not Found"}')


async def test_spellings_of_one_version_are_one_package(registry: Registry) -> None:
    await registry.upload(WHEEL)
    other = build_wheel("pkg", "1.0.0")
    assert (await registry.upload(other, version="1.0.0", file_name=wheel_file_name("pkg", "1.0.0"))).status == 201
    assert await registry.traces() == {"packages": 1, "package_files": 2, "blobs": 2}


async def test_a_requires_python_that_is_longer_than_what_is_kept_of_it_is_no_error(registry: Registry) -> None:
    long = ",".join([">=3.8", *(f"!=3.9.{number}" for number in range(60))])
    assert len(long) > 255
    wheel = build_wheel("pkg", "1.0", requires_python=long)
    assert (await registry.upload(wheel, requires_python=long)).status == 201
    (file,) = (await registry.page("pkg"))["files"]
    assert file["requires-python"] == long
    other = long.replace(">=3.8", ">=3.7")
    assert (
        await registry.upload(
            build_wheel("pkg", "2.0", requires_python=other),
            version="2.0",
            file_name="pkg-2.0-py3-none-any.whl",
            requires_python=long,
        )
    ).status == 400
