"""Wheels: which are read, and which are refused with which reason."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.distributions.archives import ArchiveLimits
from shared.distributions.reading import read_distribution
from shared.errors import DistributionRejected, ValidationFailed
from shared.models import CoreMetadata
from tests.distributions import build_wheel, core_metadata, wheel_file_name, wheel_files, zip_bytes
from tests.hostile_archives import RawMember, deflated, raw_zip

_FILE_NAME = wheel_file_name("foo", "1.0")
_FILES = wheel_files("foo", "1.0")
_INFO = "foo-1.0.dist-info"
_WHEEL_FILE = b"Wheel-Version: 1.0\n"


def _read(content: bytes, *, file_name: str = _FILE_NAME, limits: ArchiveLimits | None = None) -> CoreMetadata:
    return read_distribution(io.BytesIO(content), file_name=file_name, limits=limits or ArchiveLimits())


def _refusal(content: bytes, *, file_name: str = _FILE_NAME, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(DistributionRejected) as refusal:
        _read(content, file_name=file_name, limits=limits)
    return refusal.value.reason


def _members(*more: RawMember) -> list[RawMember]:
    return [*(RawMember(path.encode(), content) for path, content in _FILES.items()), *more]


def test_a_wheels_metadata_is_read_byte_for_byte() -> None:
    metadata = core_metadata("Foo", "1.0", requires_python=">=3.9") + b"caf\xc3\xa9\r\n\n\n"
    read = _read(build_wheel("foo", "1.0", metadata=metadata))
    assert (read.raw, read.name, read.version, read.requires_python) == (metadata, "Foo", "1.0", ">=3.9")


@pytest.mark.parametrize(
    ("directory", "file_name"),
    [
        ("Foo.Bar-1.0.0.dist-info", "foo_bar-1-py3-none-any.whl"),
        ("foo-bar-1.0.dist-info", "foo_bar-1.0-py3-none-any.whl"),
        ("foo_bar-1.0-1.dist-info", "Foo.bar-1.0.post1-py3-none-any.whl"),
        ("foo_bar-1.0_alpha.1.dist-info", "foo_bar-1.0a1-py3-none-any.whl"),
    ],
)
def test_the_dist_info_directory_may_be_spelt_in_any_way(directory: str, file_name: str) -> None:
    version = file_name.split("-")[1]
    files = {"METADATA": core_metadata("foo-bar", version), "WHEEL": _WHEEL_FILE, "RECORD": b""}
    content = zip_bytes({f"{directory}/{name}": data for name, data in files.items()})
    assert _read(content, file_name=file_name).version == version


def test_metadata_of_vendored_distributions_does_not_matter() -> None:
    content = build_wheel("foo", "1.0", extra_files={"foo/_vendor/bar-2.0.dist-info/METADATA": b"Name: bar\n"})
    assert _read(content).name == "foo"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"foo.py": b""}, "dist-info directory is missing"),
        ({}, "dist-info directory is missing"),
        (
            {**_FILES, "bar-1.0.dist-info/METADATA": b""},
            "wheel has several dist-info directories: 'bar-1.0.dist-info', 'foo-1.0.dist-info'",
        ),
        (wheel_files("bar", "1.0"), "dist-info directory 'bar-1.0.dist-info' is not that of foo 1.0"),
        (wheel_files("foo", "1.1"), "dist-info directory 'foo-1.1.dist-info' is not that of foo 1.0"),
        (
            {path: data for path, data in _FILES.items() if not path.endswith("METADATA")},
            "METADATA is missing in the dist-info directory",
        ),
        (
            {path: data for path, data in _FILES.items() if not path.endswith("WHEEL")},
            "WHEEL is missing in the dist-info directory",
        ),
        (
            {path: data for path, data in _FILES.items() if not path.endswith("RECORD")},
            "RECORD is missing in the dist-info directory",
        ),
        (
            {f"./{path}": data for path, data in _FILES.items()},
            "METADATA is missing in the dist-info directory",
        ),
        ({**_FILES, f"{_INFO}/WHEEL": b"Wheel-Version: 2.0\n"}, "Wheel-Version '2.0' is not supported"),
        ({**_FILES, f"{_INFO}/WHEEL": b"Tag: any\n"}, "WHEEL file does not give one Wheel-Version"),
        ({**_FILES, f"{_INFO}/WHEEL": _WHEEL_FILE * 2}, "WHEEL file does not give one Wheel-Version"),
        (wheel_files("foo", "1.0", metadata=b"Name: foo\n"), "Metadata-Version '' is not supported"),
        (
            wheel_files("foo", "1.0", metadata=core_metadata("bar", "1.0")),
            "metadata names bar, the file name says foo",
        ),
        (
            wheel_files("foo", "1.0", metadata=core_metadata("foo", "1.1")),
            "metadata says version 1.1, the file name says 1.0",
        ),
        ({**_FILES, f"{_INFO}/METADATA": bytes(1024 * 1024 + 1)}, f"'{_INFO}/METADATA' is larger than 1048576 bytes"),
        ({**_FILES, "/etc/passwd": b""}, "archive has a member with an absolute path: '/etc/passwd'"),
        ({**_FILES, "C:/windows": b""}, "archive has a member with an absolute path: 'C:/windows'"),
        ({**_FILES, "foo/../../x": b""}, "archive has a member outside of its directory: 'foo/../../x'"),
        ({**_FILES, "foo/\n.py": b""}, "archive has a member with control characters in its name: 'foo/\\n.py'"),
        ({**_FILES, "x" * 1025: b""}, "archive has a member whose name is longer than 1024 bytes"),
        ({**_FILES, "./foo.py": b""}, "zip archive has two members of one name: 'foo.py'"),
    ],
)
def test_what_is_no_proper_wheel_is_refused(files: dict[str, bytes], reason: str) -> None:
    assert _refusal(zip_bytes(files)) == reason


def test_metadata_of_just_the_limit_is_taken() -> None:
    head = core_metadata("foo", "1.0")
    metadata = head + b"x" * (1024 * 1024 - len(head))
    assert _read(build_wheel("foo", "1.0", metadata=metadata)).raw == metadata


def test_a_file_name_that_is_none_of_a_distribution_is_refused() -> None:
    with pytest.raises(ValidationFailed):
        _read(build_wheel("foo", "1.0"), file_name="foo.whl")


_LICENSED = core_metadata("foo", "1.0").replace(b"2.1", b"2.4").replace(b"Summary", b"License-File: a/LICENSE\nSummary")


def test_a_license_file_lies_in_the_licenses_directory() -> None:
    files = {f"{_INFO}/licenses/a/LICENSE": b"MIT"}
    assert _read(build_wheel("foo", "1.0", metadata=_LICENSED, extra_files=files)).flaw is None


@pytest.mark.parametrize("path", [f"{_INFO}/a/LICENSE", "a/LICENSE", f"{_INFO}/licenses/LICENSE"])
def test_a_license_file_that_is_missing_there_is_a_flaw(path: str) -> None:
    flaw = _read(build_wheel("foo", "1.0", metadata=_LICENSED, extra_files={path: b"MIT"})).flaw
    assert flaw == "metadata is invalid: License-File 'a/LICENSE' is not in the archive"


def test_limits_on_entries_and_expansion_hold() -> None:
    wheel = build_wheel("foo", "1.0", extra_files={"foo/zeros": bytes(100_000)})
    assert _read(wheel, limits=ArchiveLimits(max_entries=5)).name == "foo"
    assert _refusal(wheel, limits=ArchiveLimits(max_entries=4)) == "archive has more than 4 entries"
    tight = ArchiveLimits(max_ratio=10, ratio_from_bytes=50_000)
    assert _refusal(wheel, limits=tight) == "archive expands to more than 10 times its size"
    assert _read(wheel, limits=ArchiveLimits(max_ratio=10, ratio_from_bytes=200_000)).name == "foo"
    large = build_wheel("foo", "1.0", extra_files={"foo/zeros": bytes(2 * 1024 * 1024)})
    assert _refusal(large, limits=ArchiveLimits(max_expanded_bytes=1024 * 1024)) == "archive expands to more than 1 MiB"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file is not a zip archive"),
        (b"PK\x03\x04" + bytes(100), "file is not a zip archive"),
        (raw_zip(_members(), before=b"#!/bin/sh\n"), "data precedes the archive"),
        (raw_zip(_members(), after=b"\0"), "data follows the end of the zip archive"),
        (raw_zip(_members(), between=b"hidden"), "its members overlap, or data lies between them"),
        (raw_zip(_members()) * 2, "data precedes the archive"),
        (raw_zip(_members(), comment=raw_zip([])), "zip archive has several end records"),
        (raw_zip(_members(), comment=b"x" * 30 + b"PK\x05\x06"), "zip archive has several end records"),
        (raw_zip(_members(), entries=3), "its central directory has more than its entries"),
        (raw_zip(_members(), entries=5), "it ends too early"),
        (
            raw_zip(_members(), between=b"x" * 46).replace(b"PK\x01\x02", b"PK\x01\x03"),
            "central directory is malformed",
        ),
        (raw_zip(_members(), entries=1_000_000, is_zip64=True), "archive has more than 100000 entries"),
        (
            raw_zip(_members(RawMember(b"foo.py", b"other"))),
            "zip archive has two members of one name: 'foo.py'",
        ),
        (raw_zip(_members(RawMember(b"x", flags=1))), "zip archive has an encrypted member"),
        (raw_zip(_members(RawMember(b"x", method=14))), "zip archive has a member that is neither stored nor deflated"),
        (
            raw_zip(_members(RawMember(b"x", needed=64))),
            "zip archive has a member that is neither stored nor deflated",
        ),
        (
            raw_zip(_members(RawMember(b"x", b"/etc", attributes=0o120777 << 16))),
            "zip archive has a member that is a link or a device",
        ),
        (
            raw_zip(_members(RawMember(b"x", attributes=0o010644 << 16))),
            "zip archive has a member that is a link or a device",
        ),
        (raw_zip(_members(RawMember(b"a\\b"))), "archive has a member with a backslash in its name: 'a\\\\b'"),
        (
            raw_zip(_members(RawMember(b"foo\0.txt"))),
            "archive has a member with control characters in its name: 'foo\\x00.txt'",
        ),
        (
            raw_zip(_members(RawMember(b"\xff", flags=0x800))),
            "zip archive has a member whose name is not valid UTF-8",
        ),
        (
            raw_zip(_members(RawMember(b"x", b"data", declared={"expanded": 5}))),
            "a stored member has two sizes",
        ),
        (
            raw_zip(_members(RawMember(b"x", b"data", local_name=b"y"))),
            "a member's local header differs from the central directory",
        ),
        (
            raw_zip(_members(RawMember(b"x", b"data", local={"crc": 1}))),
            "a member's local header differs from the central directory",
        ),
        (
            raw_zip(_members(RawMember(b"x", b"data", local={"compressed": 2}))),
            "a member's local header differs from the central directory",
        ),
        (
            raw_zip(_members(RawMember(b"x", b"data", local_flags=1))),
            "a member's local header differs from the central directory",
        ),
        (
            raw_zip(_members(RawMember("é".encode(), flags=0x800, local_flags=0))),
            "a member's local header differs from the central directory",
        ),
        (raw_zip(_members(RawMember(b"x", b"data", behind=b"more"))), "its members overlap, or data lies between them"),
        (
            raw_zip(_members(RawMember(b"x", b"data", flags=8, behind=bytes(12)))),
            "its members overlap, or data lies between them",
        ),
        (raw_zip(_members(RawMember(b"x", b"data", offset=0))), "its members overlap, or data lies between them"),
        (raw_zip(_members(RawMember(b"x", b"data", offset=10**6))), "its members overlap, or data lies between them"),
        (
            raw_zip(_members(RawMember(b"x", extra=b"\x01\x00\x08\x00"))),
            "an extra field is cut off",
        ),
        (
            raw_zip(_members(RawMember(b"x", extra=struct.pack("<HHQHHQ", 1, 8, 0, 1, 8, 0)))),
            "an extra field is there twice",
        ),
        (
            raw_zip(
                _members(
                    RawMember(b"x", declared={"expanded": 0xFFFFFFFF}, extra=struct.pack("<HHQQ", 1, 16, 0, 0)),
                )
            ),
            "a zip64 field has the wrong size",
        ),
        (
            raw_zip(_members(RawMember(b"x", extra=struct.pack("<HHBL", 0x7075, 6, 1, zlib.crc32(b"x")) + b"y"))),
            "zip archive has a member with two different names",
        ),
    ],
)
def test_archives_that_readers_would_understand_differently_are_refused(content: bytes, reason: str) -> None:
    assert reason in _refusal(content)


def test_members_that_share_their_data_are_refused() -> None:
    nested = RawMember(b"x", b"data")
    head = raw_zip([nested])
    # The second entry's header lies inside of the first member's data.
    inner = head[: 30 + 1 + 4]
    outer = RawMember(b"outer", inner)
    content = raw_zip([outer, RawMember(b"x", b"data", offset=30 + 5)])
    assert "zip archive is damaged" in _refusal(content)


def _descriptors() -> list[bytes]:
    crc = zlib.crc32(b"data")
    return [
        struct.pack("<LLL", crc, 4, 4),
        struct.pack("<4sLLL", b"PK\x07\x08", crc, 4, 4),
        struct.pack("<LQQ", crc, 4, 4),
        struct.pack("<4sLQQ", b"PK\x07\x08", crc, 4, 4),
    ]


@pytest.mark.parametrize("descriptor", _descriptors())
@pytest.mark.parametrize("local", [{}, {"crc": 0, "compressed": 0, "expanded": 0}])
def test_archives_written_as_a_stream_are_taken(descriptor: bytes, local: dict[str, int]) -> None:
    streamed = RawMember(b"x", b"data", flags=8, local=local, behind=descriptor)
    assert _read(raw_zip([streamed, *_members()])).name == "foo"
    assert _read(raw_zip(_members(streamed))).name == "foo"


class _Unseekable(io.RawIOBase):
    def __init__(self, sink: io.BytesIO) -> None:
        self._sink = sink

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        return self._sink.write(data)  # type: ignore[arg-type]  # any buffer


def _zipfile_to_a_pipe() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(_Unseekable(sink), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in _FILES.items():
            archive.writestr(path, content)
    return sink.getvalue()


def _zipfile_with_zip64() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for path, content in _FILES.items():
            with archive.open(zipfile.ZipInfo(path), "w", force_zip64=True) as member:
                member.write(content)
    return sink.getvalue()


def _zipfile_appended() -> bytes:
    sink = io.BytesIO(zip_bytes({path: data for path, data in _FILES.items() if not path.endswith("RECORD")}))
    with zipfile.ZipFile(sink, "a") as archive:
        archive.writestr(f"{_INFO}/RECORD", b"")
        archive.comment = b"a commit, say"
    return sink.getvalue()


@pytest.mark.parametrize("make", [_zipfile_to_a_pipe, _zipfile_with_zip64, _zipfile_appended])
def test_the_archives_of_honest_tools_are_taken(make: Callable[[], bytes]) -> None:
    assert _read(make()).raw == _FILES[f"{_INFO}/METADATA"]


def test_zip64_records_are_taken_when_they_agree() -> None:
    assert _read(raw_zip(_members(), is_zip64=True)).name == "foo"
    large = RawMember(
        b"x",
        b"data",
        declared={"expanded": 0xFFFFFFFF, "compressed": 0xFFFFFFFF},
        extra=struct.pack("<HHQQ", 1, 16, 4, 4),
        local_extra=struct.pack("<HHQQ", 1, 16, 4, 4),
    )
    assert _read(raw_zip(_members(large))).name == "foo"


def test_zip64_records_that_disagree_are_refused() -> None:
    content = raw_zip(_members(), is_zip64=True)
    assert "contradict" in _refusal(content[:-14] + struct.pack("<HH", 3, 3) + content[-10:])
    locator = content.index(b"PK\x06\x07")
    moved = content[: locator + 8] + struct.pack("<Q", 0) + content[locator + 16 :]
    assert "not where the locator says" in _refusal(moved)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (
            RawMember(b"", deflated(bytes(1024)), method=8, declared={"expanded": 10}),
            "a member's data does not end where it should",
        ),
        (
            RawMember(b"", deflated(bytes(10)), method=8, declared={"expanded": 1024}),
            f"'{_INFO}/METADATA' is not what its checksum says",
        ),
        (
            RawMember(b"", deflated(b"x") + b"more", method=8, declared={"expanded": 1}),
            "a member's data does not end where it should",
        ),
        (RawMember(b"", b"\xff" * 10, method=8, declared={"expanded": 10}), "a member's data cannot be expanded"),
        (RawMember(b"", b"x" * 10, declared={"crc": 1}), f"'{_INFO}/METADATA' is not what its checksum says"),
    ],
)
def test_metadata_that_lies_about_its_size_or_content_is_refused(member: RawMember, reason: str) -> None:
    lying = RawMember(f"{_INFO}/METADATA".encode(), member.data, method=member.method, declared=member.declared)
    others = [honest for honest in _members() if honest.name != lying.name]
    assert reason in _refusal(raw_zip([*others, lying]))


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_damaged_wheel_is_refused_or_read_as_installers_read_it(data: st.DataObject) -> None:
    wheel = bytearray(build_wheel("foo", "1.0"))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(wheel) - 1))
        replaced = data.draw(st.integers(0, 4))
        wheel[at : at + replaced] = data.draw(st.binary(max_size=6))
    try:
        read = _read(bytes(wheel))
    except DistributionRejected:
        return
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        assert archive.read(f"{_INFO}/METADATA") == read.raw
