"""Sdists: which are read, and which are refused with which reason."""

import gzip
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.distributions.archives import ArchiveLimits
from shared.distributions.reading import read_distribution
from shared.errors import DistributionRejected
from shared.models import CoreMetadata
from tests.distributions import build_sdist, core_metadata, sdist_file_name, sdist_files, tar_gz_bytes, zip_bytes
from tests.hostile_archives import (
    MIB,
    gzip_of_nothing,
    repeated_gzip,
    tar_gz_of_headers,
    tar_gz_of_zeros,
    tar_header,
)

_FILE_NAME = sdist_file_name("foo", "1.0")
_FILES = sdist_files("foo", "1.0")
_PKG_INFO = core_metadata("foo", "1.0")


def _read(content: bytes, *, file_name: str = _FILE_NAME, limits: ArchiveLimits | None = None) -> CoreMetadata:
    return read_distribution(io.BytesIO(content), file_name=file_name, limits=limits or ArchiveLimits())


def _refusal(content: bytes, *, file_name: str = _FILE_NAME, limits: ArchiveLimits | None = None) -> str:
    with pytest.raises(DistributionRejected) as refusal:
        _read(content, file_name=file_name, limits=limits)
    return refusal.value.reason


def _member(name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def _link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _member(name, tarfile.SYMTYPE, target=target)


def _hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _member(name, tarfile.LNKTYPE, target=target)


def test_an_sdists_metadata_is_read_byte_for_byte() -> None:
    metadata = core_metadata("Foo", "1.0", requires_python=">=3.9") + b"caf\xc3\xa9\r\n\n\n"
    read = _read(build_sdist("foo", "1.0", metadata=metadata))
    assert (read.raw, read.name, read.version, read.requires_python) == (metadata, "Foo", "1.0", ">=3.9")


@pytest.mark.parametrize("pack", [tar_gz_bytes, zip_bytes])
@pytest.mark.parametrize(
    ("top", "stem"),
    [
        ("zope.interface-5.0", "zope.interface-5.0"),
        ("zope_interface-5.0.0", "zope.interface-5.0"),
        ("Zope-Interface-5.0", "zope_interface-5.0"),
        ("zope.interface-5.0-1", "zope.interface-5.0.post1"),
        ("zope.interface-5.0-beta-2", "zope.interface-5.0b2"),
    ],
)
def test_the_top_directory_may_be_spelt_in_any_way(pack: object, top: str, stem: str) -> None:
    assert callable(pack)
    content = pack({f"{top}/PKG-INFO": core_metadata("zope.interface", stem.rpartition("-")[2])})
    ending = ".zip" if pack is zip_bytes else ".tar.gz"
    assert _read(content, file_name=stem + ending).name == "zope.interface"


@pytest.mark.parametrize("pack", [tar_gz_bytes, zip_bytes])
@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "PKG-INFO is missing in the top directory"),
        ({"foo-1.0/setup.py": b""}, "PKG-INFO is missing in the top directory"),
        ({"foo-1.0/foo.egg-info/PKG-INFO": _PKG_INFO}, "PKG-INFO is missing in the top directory"),
        ({"PKG-INFO": _PKG_INFO}, "sdist has a member outside of its top directory: 'PKG-INFO'"),
        ({**_FILES, "setup.py": b""}, "sdist has a member outside of its top directory: 'setup.py'"),
        ({**_FILES, "foo-1.1/x": b""}, "sdist has several top directories: 'foo-1.0', 'foo-1.1'"),
        (sdist_files("foo", "1.1"), "top directory 'foo-1.1' is not that of foo 1.0"),
        (sdist_files("bar", "1.0"), "top directory 'bar-1.0' is not that of foo 1.0"),
        ({"src/PKG-INFO": _PKG_INFO}, "top directory 'src' is not that of foo 1.0"),
        ({**_FILES, "foo-1.0/../../x": b""}, "archive has a member outside of its directory: 'foo-1.0/../../x'"),
        ({**_FILES, "/foo-1.0/x": b""}, "archive has a member with an absolute path: '/foo-1.0/x'"),
        ({**_FILES, "foo-1.0/a\\b": b""}, "archive has a member with a backslash in its name: 'foo-1.0/a\\\\b'"),
        (
            {**_FILES, "foo-1.0/a\rb": b""},
            "archive has a member with control characters in its name: 'foo-1.0/a\\rb'",
        ),
        ({"foo-1.0/PKG-INFO": bytes(MIB + 1)}, "PKG-INFO is larger than 1048576 bytes"),
        ({"foo-1.0/PKG-INFO": core_metadata("bar", "1.0")}, "metadata names bar, the file name says foo"),
        (
            {"foo-1.0/PKG-INFO": core_metadata("foo", "2")},
            "metadata says version 2, the file name says 1.0",
        ),
    ],
)
def test_what_is_no_proper_sdist_is_refused(pack: object, files: dict[str, bytes], reason: str) -> None:
    assert callable(pack)
    assert _refusal(pack(files), file_name="foo-1.0.zip" if pack is zip_bytes else _FILE_NAME) == reason


@pytest.mark.parametrize("pack", [tar_gz_bytes, zip_bytes])
@pytest.mark.parametrize(("path", "is_there"), [("a/LICENSE", True), ("LICENSE", False), ("licenses/a/LICENSE", False)])
def test_a_license_file_lies_below_the_top_directory(pack: object, path: str, *, is_there: bool) -> None:
    assert callable(pack)
    metadata = _PKG_INFO.replace(b"2.1", b"2.4").replace(b"Summary", b"License-File: a/LICENSE\nSummary")
    content = pack(sdist_files("foo", "1.0", metadata=metadata, extra_files={path: b"MIT"}))
    flaw = _read(content, file_name=_FILE_NAME if pack is tar_gz_bytes else "foo-1.0.zip").flaw
    assert flaw == (None if is_there else "metadata is invalid: License-File 'a/LICENSE' is not in the archive")


@pytest.mark.parametrize(
    "pax",
    [
        {
            "GNU.sparse.size": "1048576",
            "GNU.sparse.offset": "0",
            "GNU.sparse.numbytes": "0",
            "GNU.sparse.numblocks": "1",
        },
        {"GNU.sparse.size": "1048576", "GNU.sparse.map": "0,0", "GNU.sparse.name": "foo-1.0/holes"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1048576"},
    ],
)
def test_sparse_members_are_refused_in_every_form_that_tar_has_for_them(pax: dict[str, str]) -> None:
    member, _ = _member("foo-1.0/holes")
    content = b"0\n".ljust(512, b"\0")  # The map of the newest form: no data at all.
    member.size, member.pax_headers = len(content), pax
    assert _refusal(tar_gz_bytes(_FILES, (member, content))).startswith("tar archive has a sparse member")


def test_what_tar_programs_leave_beside_the_top_directory_is_taken() -> None:
    residue = {"pax_global_header": b"comment", "._foo-1.0": b"apple"}
    assert _read(tar_gz_bytes({**residue, **_FILES})).name == "foo"
    assert _read(tar_gz_bytes({f"./{path}": content for path, content in _FILES.items()})).name == "foo"
    directories = [_member("./", tarfile.DIRTYPE), _member("foo-1.0/", tarfile.DIRTYPE)] * 2
    assert _read(tar_gz_bytes(_FILES, *directories)).name == "foo"


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read(tar_format: int) -> None:
    sink = io.BytesIO()
    headers = {"comment": "0" * 40} if tar_format == tarfile.PAX_FORMAT else None
    deep = "foo-1.0/" + "d" * 90 + "/" + "long-\u00e9" * 20
    with tarfile.open(fileobj=sink, mode="w:gz", format=tar_format, pax_headers=headers) as archive:
        for path, content in ((deep[:200], b"x" * 1000), *_FILES.items()):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            if tar_format == tarfile.USTAR_FORMAT:
                member.name = path.encode("ascii", "replace").decode()[:99]
            archive.addfile(member, io.BytesIO(content))
    assert _read(sink.getvalue()).raw == _FILES["foo-1.0/PKG-INFO"]


def test_gzip_files_of_several_members_and_with_padding_are_read() -> None:
    tar = gzip.decompress(build_sdist("foo", "1.0"))
    parts = b"".join(gzip.compress(tar[at : at + 700]) for at in range(0, len(tar), 700))
    assert _read(parts + bytes(1000)).name == "foo"


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (_member("foo-1.0/null", tarfile.CHRTYPE), "tar archive has a member that is a device or unknown"),
        (_member("foo-1.0/disk", tarfile.BLKTYPE), "tar archive has a member that is a device or unknown"),
        (_member("foo-1.0/pipe", tarfile.FIFOTYPE), "tar archive has a member that is a device or unknown"),
        (_member("foo-1.0/odd", b"A"), "tar archive has a member that is a device or unknown"),
        (_member("foo-1.0/holes", tarfile.GNUTYPE_SPARSE), "tar archive has a sparse member"),
        (_link("foo-1.0/a", "/etc/passwd"), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_link("foo-1.0/a", ".."), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_link("foo-1.0/a", "../../etc/passwd"), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_link("foo-1.0/a", "../bar"), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_link("foo-1.0/a", "b\\c"), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_link("foo-1.0/a", "x/" * 600), "archive has a link whose target is too long: 'foo-1.0/a'"),
        (_link("foo-1.0/a", "a"), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_hard_link("foo-1.0/a", "/etc/passwd"), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_hard_link("foo-1.0/a", "../foo"), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_hard_link("foo-1.0/a", "other/foo"), "archive has a link that leads outside of it: 'foo-1.0/a'"),
        (_link("foo-1.0/PKG-INFO", "setup.py"), "sdist has a link and another member of one name"),
        (_member("foo-1.0/PKG-INFO"), "PKG-INFO is there twice, or is no plain file"),
        (_link("foo-1.0", "."), "sdist has a member outside of its top directory: 'foo-1.0'"),
    ],
)
def test_members_that_must_not_be_unpacked_are_refused(member: tuple[tarfile.TarInfo, bytes], reason: str) -> None:
    assert reason in _refusal(tar_gz_bytes(_FILES, member))


def test_links_that_stay_inside_are_taken() -> None:
    links = [
        _link("foo-1.0/README", "./docs/../docs/index.rst"),
        _link("foo-1.0/docs/up", "../foo.py"),
        _link("foo-1.0/docs/top", ".."),
        _link("foo-1.0/through", "docs/top/foo.py"),
        _hard_link("foo-1.0/same.py", "foo-1.0/foo.py"),
        _hard_link("foo-1.0/dotted.py", "./foo-1.0/foo.py"),
    ]
    assert _read(tar_gz_bytes(_FILES, *links)).name == "foo"


def test_links_that_lead_out_only_together_are_refused() -> None:
    links = [_link("foo-1.0/a/b/top", "../.."), _link("foo-1.0/out", "a/b/top/../x")]
    assert _refusal(tar_gz_bytes(_FILES, *links)) == "archive has a link that leads outside of it: 'foo-1.0/out'"
    circle = [_link("foo-1.0/a", "b"), _link("foo-1.0/b", "a")]
    assert "leads outside" in _refusal(tar_gz_bytes(_FILES, *circle))


@pytest.mark.parametrize("is_link_first", [True, False])
def test_members_below_a_link_are_refused(is_link_first: bool) -> None:  # noqa: FBT001 - a parameter of the test
    link, below = _link("foo-1.0/docs", "."), _member("foo-1.0/docs/evil.py")
    members = (link, below) if is_link_first else (below, link)
    assert _refusal(tar_gz_bytes(_FILES, *members)) == "archive has members below a symbolic link: 'foo-1.0/docs'"


def test_a_link_that_is_replaced_is_refused() -> None:
    replaced = [_link("foo-1.0/x", "foo.py"), _member("foo-1.0/x")]
    assert "a link and another member of one name" in _refusal(tar_gz_bytes(_FILES, *replaced))
    assert "a link and another member of one name" in _refusal(tar_gz_bytes(_FILES, replaced[0], replaced[0]))


_TAR = gzip.decompress(build_sdist("foo", "1.0"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file is not a gzip-compressed tar archive"),
        (_TAR, "file is not a gzip-compressed tar archive"),
        (zip_bytes(_FILES), "file is not a gzip-compressed tar archive"),
        (gzip.compress(b""), "tar archive is damaged"),
        (gzip.compress(b"not a tar archive"), "tar archive is damaged: a header is unreadable"),
        (gzip.compress(bytes(10240)), "PKG-INFO is missing in the top directory"),
        (gzip.compress(_TAR)[:-9], "gzip data ends too early"),
        (gzip.compress(_TAR)[:-8] + bytes(8), "gzip data is damaged"),
        (gzip.compress(_TAR) + b"more", "data follows the end of the gzip data"),
        (gzip.compress(_TAR) + bytes(600) + b"x", "data follows the end of the gzip data"),
        (gzip.compress(_TAR + b"more"), "data follows the end of the tar archive"),
        (gzip.compress(_TAR + _TAR), "data follows the end of the tar archive"),
        (gzip.compress(_TAR[:700]), "tar archive is damaged"),
        (
            gzip.compress(tar_header("foo-1.0/PKG-INFO", size_bytes=100) + b"x" * 50),
            "tar archive is damaged: it ends too early",
        ),
        (
            gzip.compress(_TAR[: 512 * 2] + b"\xff" * 512 + _TAR[512 * 2 :]),
            "tar archive is damaged: a header is unreadable",
        ),
        (
            gzip.compress(tar_header("foo-1.0/x", size_bytes=-512) + _TAR),
            "tar archive is damaged: a member has a wrong size",
        ),
        (gzip_of_nothing(members=100), "tar archive is damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "archive",  # gzip notes the time: no name for a test
)
def test_damaged_archives_are_refused(content: bytes, reason: str) -> None:
    assert _refusal(content) == reason


def test_limits_on_entries_and_expansion_hold() -> None:
    sdist = build_sdist("foo", "1.0", extra_files={"zeros": bytes(200_000)})
    assert _read(sdist, limits=ArchiveLimits(max_entries=5)).name == "foo"
    assert _refusal(sdist, limits=ArchiveLimits(max_entries=4)) == "archive has more than 4 entries"
    tight = ArchiveLimits(max_ratio=10, ratio_from_bytes=50_000)
    assert _refusal(sdist, limits=tight) == "archive expands to more than 10 times its size"
    assert _read(sdist, limits=ArchiveLimits(max_ratio=10, ratio_from_bytes=400_000)).name == "foo"


def test_bombs_are_refused_before_they_have_expanded() -> None:
    bomb = tar_gz_of_zeros("foo-1.0/zeros", expanded_bytes=4096 * MIB)
    assert len(bomb) < 8 * MIB
    assert _refusal(bomb) == "archive expands to more than 100 times its size"
    lenient = ArchiveLimits(max_ratio=10**9, max_expanded_bytes=100 * MIB)
    assert _refusal(bomb, limits=lenient) == "archive expands to more than 100 MiB"
    headers = tar_gz_of_headers("foo-1.0/d", entries=1_000_000)
    assert _refusal(headers, limits=ArchiveLimits(max_entries=5_000)) == "archive has more than 5000 entries"


def test_a_bomb_behind_the_end_of_the_tar_archive_is_refused() -> None:
    bomb = repeated_gzip(_TAR, bytes(MIB), times=200)
    assert _refusal(bomb) == "archive expands to more than 100 times its size"


def test_the_metadata_of_an_archive_that_is_no_sdist_in_itself_is_not_looked_for() -> None:
    inner = build_sdist("foo", "1.0")
    assert _refusal(tar_gz_bytes({"foo-1.0/foo-1.0.tar.gz": inner})) == "PKG-INFO is missing in the top directory"


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_damaged_tar_archive_is_refused_or_read(data: st.DataObject) -> None:
    tar = bytearray(_TAR)
    for _ in range(data.draw(st.integers(1, 3))):
        # Headers are where the damage is interesting, and each block may be one.
        block = 512 * data.draw(st.integers(0, len(tar) // 512 - 1))
        at = block + data.draw(st.sampled_from([0, 100, 124, 148, 156, 157, 257, 345, 500]))
        tar[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    try:
        assert _read(gzip.compress(bytes(tar), 1)).name == "foo"
    except DistributionRejected:
        return
