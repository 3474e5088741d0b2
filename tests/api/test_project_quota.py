"""A project takes no more bytes than it may hold, however they come, and is told how many that are."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.models import PackageFile
from tests.api.raw_http import FORM_TYPE, connected, exchange, head, part, upload_target
from tests.api.registry import NOTHING, Registry
from tests.distributions import build_wheel, wheel_file_name

WHEEL = build_wheel("pkg", "1.0")
SIZE = len(WHEEL)
VERSIONS = ("1.0", "1.1", "1.2")
USED = sum(len(build_wheel("pkg", version)) for version in VERSIONS)
QUOTA = USED + SIZE // 2
FORM_BYTES = 8 * 1024 * 1024
FIELDS = part("name", b"pkg") + part("version", b"1.0")
TOO_LARGE = part("content", bytes(4 * SIZE), file_name="pkg-1.0-py3-none-any.whl")


def refusal(used_bytes: int, allowed_bytes: int) -> tuple[int, bytes]:
    text = (
        f"507 Insufficient Storage - the files of this project hold {used_bytes} of the {allowed_bytes} bytes that "
        "they may: delete what nobody needs, or ask an administrator for more"
    )
    return 507, json.dumps({"message": text}, separators=(",", ":")).encode()


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_PROJECT_QUOTA": str(QUOTA)}


async def _upload(registry: Registry, version: str) -> tuple[int, bytes]:
    answer = await registry.upload(
        build_wheel("pkg", version), file_name=wheel_file_name("pkg", version), version=version
    )
    return answer.status, answer.body


async def _used(registry: Registry) -> int:
    async with registry.backends.store.reading() as rows:
        return await rows.storage.used_bytes(registry.project_id)


async def test_a_project_may_be_filled_and_deletes_make_room_again(registry: Registry) -> None:
    for version in VERSIONS:
        assert (await _upload(registry, version))[0] == 201
    assert await _upload(registry, "1.3") == refusal(USED, QUOTA)
    assert await registry.traces() == {"packages": 3, "package_files": 3, "blobs": 3}

    packages = f"/api/v4/projects/{registry.project_id}/packages"
    (package,) = [found for found in (await registry.get(packages)).json if found["version"] == "1.0"]
    assert (await registry.ask("DELETE", f"{packages}/{package['id']}")).status == 204
    assert await _used(registry) == USED - SIZE
    assert (await _upload(registry, "1.3"))[0] == 201


@pytest.mark.slow
async def test_each_project_has_a_quota_of_its_own(registry: Registry) -> None:
    for version in VERSIONS:
        assert (await _upload(registry, version))[0] == 201
    other = await registry.add_project("other")
    assert (await registry.upload(WHEEL, to=other.id)).status == 201


@pytest.mark.parametrize("length", [QUOTA + FORM_BYTES + 1, 1024**3])
async def test_a_body_that_cannot_fit_is_not_even_invited(bare_registry: Registry, length: int) -> None:
    request = head(
        "POST",
        upload_target(bare_registry),
        Content_Type=FORM_TYPE,
        Content_Length=str(length),
        Expect="100-continue",
    )
    async with connected(bare_registry) as connection:
        await connection.send(request)
        assert await connection.answer() == refusal(0, QUOTA)
        assert connection.heads[0].startswith(b"HTTP/1.1 507 ")


class TestOfOneFile:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_PROJECT_QUOTA": str(SIZE)}

    async def test_nor_is_any_once_the_project_is_full(self, registry: Registry) -> None:
        assert (await registry.upload(WHEEL)).status == 201
        request = head(
            "POST", upload_target(registry), Content_Type=FORM_TYPE, Content_Length="100", Expect="100-continue"
        )
        async with connected(registry) as connection:
            await connection.send(request)
            assert await connection.answer() == refusal(SIZE, SIZE)


async def test_a_body_of_unknown_length_is_refused_while_it_arrives(bare_registry: Registry) -> None:
    form = FIELDS + TOO_LARGE
    request = head("POST", upload_target(bare_registry), Content_Type=FORM_TYPE, Transfer_Encoding="chunked")
    answer = await exchange(bare_registry, request + b"%x\r\n%s\r\n" % (len(form), form))
    assert answer == refusal(0, QUOTA)
    assert await bare_registry.traces() == NOTHING
    assert bare_registry.blobs_held_open() == 0


@pytest.mark.slow
async def test_of_many_uploads_at_once_only_as_many_as_fit_are_taken(registry: Registry) -> None:
    answers = await asyncio.gather(*(_upload(registry, f"1.{number}") for number in range(9)))
    assert sorted(status for status, _ in answers) == [201] * 3 + [507] * 6
    assert await registry.traces() == {"packages": 3, "package_files": 3, "blobs": 3}
    assert await _used(registry) <= QUOTA


@pytest.mark.slow
async def test_a_file_that_the_worker_refuses_takes_no_room(registry: Registry) -> None:
    for _ in range(4):
        answer = await registry.upload(bytes(SIZE))
        assert answer.status == 400, answer
    assert await registry.traces() == NOTHING
    assert await _used(registry) == 0


@pytest.mark.slow
async def test_sending_the_same_file_again_takes_no_room(registry: Registry) -> None:
    assert [(await registry.upload(WHEEL)).status for _ in range(4)] == [201] * 4
    assert await _used(registry) == SIZE


@pytest.mark.slow
class TestWithoutAWait:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_PROJECT_QUOTA": str(QUOTA), "LARDER_UPLOAD_WAIT_SECONDS": "0"}

    async def test_what_replaces_a_failed_file_takes_its_room(self, bare_registry: Registry) -> None:
        async def upload(content: bytes) -> int:
            return (await bare_registry.upload(content)).status

        assert await upload(bytes(QUOTA - 1)) == 202
        async with bare_registry.backends.store.writing() as rows:
            (package,) = [await rows.packages.lock(file.package_id) for file in await _waiting(bare_registry)]
            assert package is not None
            (file,) = await rows.packages.files_named(package.id, "pkg-1.0-py3-none-any.whl")
            assert await rows.packages.take_lease(file.id, attempt=1, until=file.created_at)
            assert await rows.packages.refuse_file(file.id, attempt=1, reason="it is broken")
        assert await upload(b"x") == 202
        assert await _used(bare_registry) == 1


async def _waiting(registry: Registry) -> tuple[PackageFile, ...]:
    async with registry.backends.store.reading() as rows:
        return await rows.packages.unleased(
            created_before=datetime.now(UTC) + timedelta(days=1), now=datetime.now(UTC) + timedelta(days=1), limit=9
        )
