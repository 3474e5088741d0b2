"""What is not the form that an upload must be, how it arrives, and what is told about it."""

import asyncio

import pytest

from shared.limits import Limits
from tests.api.raw_http import BOUNDARY, END, FORM_TYPE, connected, exchange, head, part, post_form, upload_target
from tests.api.registry import NOTHING, Registry
from tests.distributions import build_wheel
from tests.waiting import eventually

WHEEL = build_wheel("pkg", "1.0")
MAX_OTHER_BYTES = Limits().max_form_bytes
NAME, VERSION = part("name", b"pkg"), part("version", b"1.0")
CONTENT = part("content", WHEEL, file_name="pkg-1.0-py3-none-any.whl")
TOO_LARGE = (413, b'{"message":"400 Bad request - File is too large"}')
CREATED = (201, b'{"message":"201 Created"}')


@pytest.mark.parametrize("form", [NAME + VERSION + CONTENT, CONTENT + NAME + VERSION, NAME + CONTENT + VERSION])
async def test_the_fields_may_come_in_any_order(registry: Registry, form: bytes) -> None:
    assert await post_form(registry, form + END) == CREATED


async def test_other_files_in_the_form_are_passed_over(registry: Registry) -> None:
    signature = part("gpg_signature", b"-----BEGIN", file_name="pkg-1.0-py3-none-any.whl.asc")
    assert await post_form(registry, NAME + signature + VERSION + CONTENT + END) == CREATED


async def test_a_body_of_unknown_length_is_taken(registry: Registry) -> None:
    form = NAME + VERSION + CONTENT + END
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(form[i : i + 100]), form[i : i + 100]) for i in range(0, len(form), 100))
    request = head("POST", upload_target(registry), Content_Type=FORM_TYPE, Transfer_Encoding="chunked")
    assert await exchange(registry, request + chunks + b"0\r\n\r\n") == CREATED


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (END, "content is missing, name is missing, version is missing"),
        (NAME + VERSION + END, "content is missing"),
        (CONTENT + END, "name is missing, version is missing"),
        (NAME + VERSION + part("content", b"text") + END, "content is invalid"),
        (NAME + VERSION + part("content", b"", file_name="") + END, "content is missing"),
        (NAME + VERSION + part("content", b"") + END, "content is missing"),
        (NAME + VERSION + CONTENT + part("sha256_digest", b"") + END, "sha256_digest is invalid"),
        (NAME + VERSION + CONTENT + part("sha256_digest", b" %s" % (b"a" * 64)) + END, "sha256_digest is invalid"),
        (NAME + VERSION + CONTENT + part("content", b"text") + END, "content is invalid"),
        (NAME + VERSION + CONTENT + CONTENT + END, "content is invalid"),
        (NAME + NAME + VERSION + CONTENT + END, "name is invalid"),
        (part("name", b"\xff") + VERSION + CONTENT + END, "name is invalid"),
        (part("summary", b"a\0b") + NAME + VERSION + CONTENT + END, "summary is invalid"),
        (NAME + VERSION + CONTENT, "the form ends before its closing boundary"),
        ((NAME + VERSION + CONTENT)[:-100], "the form ends before its closing boundary"),
        (b"", "content is missing, name is missing, version is missing"),
        (b"--" + BOUNDARY.encode(), "the form ends before its closing boundary"),
        (b"no form at all" * 100, "the body does not begin with the boundary that its Content-Type names"),
        (
            part("content", b"AAAA", file_name="a", headers="Content-Transfer-Encoding: base64\r\n") + END,
            "a part has a Content-Transfer-Encoding; send its bytes as they are",
        ),
        (
            part("content", b"", headers="Content-Type: multipart/mixed; boundary=x\r\n") + END,
            "a part is itself a multipart body",
        ),
        (part("classifiers", b"x") * 5001 + END, "the form has more than 5000 parts"),
        (
            part("description", b"x" * (MAX_OTHER_BYTES + 1)) + END,
            f"the form holds more than {MAX_OTHER_BYTES} bytes besides the file",
        ),
        (NAME + VERSION + CONTENT + END + b"x" * 2000, "the body goes on after its closing boundary"),
    ],
)
async def test_a_form_that_is_none_is_refused_with_a_reason_and_leaves_no_trace(
    bare_registry: Registry, form: bytes, error: str
) -> None:
    assert await post_form(bare_registry, form) == (400, f'{{"error":"{error}"}}'.encode())
    assert await bare_registry.traces() == NOTHING


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (b"", "content is missing, name is missing, version is missing"),
        (b"name=pkg&version=1.0", "content is missing"),
        (b"name=pkg&version=1.0&content=text", "content is invalid"),
        (b"name=%FF", "the body is no URL-encoded form"),
    ],
)
async def test_a_form_that_can_hold_no_file_is_told_what_is_missing(
    bare_registry: Registry, form: bytes, error: str
) -> None:
    answer = await post_form(bare_registry, form, content_type="application/x-www-form-urlencoded")
    assert answer == (400, f'{{"error":"{error}"}}'.encode())
    assert await bare_registry.traces() == NOTHING


async def test_who_sends_nothing_is_told_what_is_missing(bare_registry: Registry) -> None:
    answer = await bare_registry.ask("POST", bare_registry.pypi_of(bare_registry.project_id))
    assert (answer.status, answer.json) == (
        400,
        {"error": "content is missing, name is missing, version is missing"},
    )


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        ("application/json", "the body is not multipart/form-data"),
        ("", "the body is not multipart/form-data"),
        ("multipart/mixed; boundary=x", "the body is not multipart/form-data"),
        ("multipart/form-data", "the Content-Type names no boundary of 1 to 70 characters"),
        ('multipart/form-data; boundary=""', "the Content-Type names no boundary of 1 to 70 characters"),
        (f"multipart/form-data; boundary={'b' * 71}", "the Content-Type names no boundary of 1 to 70 characters"),
        ("multipart/form-data; boundary=a; boundary=b", "the Content-Type of the body is malformed"),
        ("multipart/form-data; boundary=b\u00e4", "the Content-Type of the body is malformed"),
    ],
)
async def test_a_body_of_another_type_is_refused(bare_registry: Registry, content_type: str, error: str) -> None:
    answer = await post_form(bare_registry, NAME + VERSION + CONTENT + END, content_type=content_type)
    assert answer == (400, f'{{"error":"{error}"}}'.encode())
    assert await bare_registry.traces() == NOTHING


async def test_a_compressed_body_is_refused(bare_registry: Registry) -> None:
    answer = await post_form(bare_registry, NAME + VERSION + CONTENT + END, Content_Encoding="deflate")
    assert answer == (400, b'{"error":"the body has a Content-Encoding; send it as it is"}')


@pytest.mark.embedded("looks at the files that writers hold open")
async def test_an_upload_cut_off_midway_leaves_no_trace(bare_registry: Registry) -> None:
    async with connected(bare_registry) as connection:
        content = part("content", b"x" * 3_000_000, file_name="pkg-1.0-py3-none-any.whl")
        await connection.send(_begin_upload(bare_registry, 9_999_999) + NAME + content)
        await eventually(lambda: _is_written(bare_registry, 1), what="the upload has begun", timeout_seconds=60)
    await eventually(lambda: _is_written(bare_registry, 0), what="it was given up", timeout_seconds=60)
    assert await bare_registry.traces() == NOTHING


class TestWithLittlePatience:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_STALL_SECONDS": "0.5"}

    async def test_a_client_that_stops_sending_is_told_so_and_leaves_no_trace(self, bare_registry: Registry) -> None:
        async with connected(bare_registry) as connection:
            await connection.send(_begin_upload(bare_registry, 9_999) + NAME + CONTENT[:-9])
            assert await connection.answer() == (408, b'{"message":"408 Request Timeout"}')
            assert b"\r\nConnection: close\r\n" in connection.heads[0]
        assert await bare_registry.traces() == NOTHING

    async def test_a_byte_now_and_then_is_no_progress(self, bare_registry: Registry) -> None:
        async with connected(bare_registry) as connection:
            await connection.send(_begin_upload(bare_registry, 9_999) + NAME + CONTENT[:-9])
            answering = asyncio.create_task(connection.answer())
            while not answering.done():
                await connection.send(b"x")
                await asyncio.wait([answering], timeout=0.05)
            assert await answering == (408, b'{"message":"408 Request Timeout"}')
        assert await bare_registry.traces() == NOTHING


class TestWithLittleTime:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_UPLOAD_MAX_SECONDS": "1"}

    async def test_a_client_that_dawdles_is_told_so(self, bare_registry: Registry) -> None:
        async with connected(bare_registry) as connection:
            await connection.send(_begin_upload(bare_registry, 9_999) + NAME + VERSION)
            answering = asyncio.create_task(connection.answer())
            while not answering.done():
                await connection.send(b"x")
                await asyncio.wait([answering], timeout=0.05)
            assert await answering == (408, b'{"message":"408 Request Timeout"}')


class TestWithASmallLimit:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        return {"LARDER_MAX_FILE_SIZE": str(len(WHEEL))}

    async def test_a_file_of_just_the_largest_size_is_taken(self, registry: Registry) -> None:
        assert (await registry.upload(WHEEL)).status == 201

    async def test_a_larger_one_is_refused_while_it_arrives(self, bare_registry: Registry) -> None:
        assert await post_form(bare_registry, part("content", WHEEL + b"x", file_name="a.whl")) == TOO_LARGE
        assert await bare_registry.traces() == NOTHING

    async def test_one_that_says_so_beforehand_is_refused_at_once(self, bare_registry: Registry) -> None:
        async with connected(bare_registry) as connection:
            await connection.send(_begin_upload(bare_registry, len(WHEEL) + MAX_OTHER_BYTES + 1))
            assert await connection.answer() == TOO_LARGE


def _begin_upload(registry: Registry, length: int) -> bytes:
    return head("POST", upload_target(registry), Content_Type=FORM_TYPE, Content_Length=str(length))


async def _is_written(registry: Registry, count: int) -> bool:
    return registry.blobs_held_open() == count
