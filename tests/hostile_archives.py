"""Archives that no honest tool writes, put together byte by byte; and bombs that cost little to make."""

import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RawMember:
    """A member of a zip archive whose two descriptions may be told to lie.

    Args:
        data: what lies in the archive; the content itself unless a method says otherwise.
        declared: field of both headers -> value instead of the true one: crc, compressed, expanded.
        local: the same, for the local header alone.
        behind: bytes after the data, such as a data descriptor.
    """

    name: bytes
    data: bytes = b""
    method: int = 0
    flags: int = 0
    needed: int = 20
    attributes: int = 0o644 << 16
    extra: bytes = b""
    local_extra: bytes = b""
    declared: Mapping[str, int] = field(default_factory=dict)
    local: Mapping[str, int] = field(default_factory=dict)
    local_name: bytes | None = None
    local_flags: int | None = None
    offset: int | None = None
    behind: bytes = b""


def raw_zip(
    members: Iterable[RawMember],
    *,
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
    comment: bytes = b"",
    entries: int | None = None,
    is_zip64: bool = False,
) -> bytes:
    """Return a zip archive of exactly these members.

    Args:
        before: in front of everything, without the offsets being moved.
        between: in front of the central directory.
        after: behind everything.
        entries: what the end record says.
    """
    body, directory, count = bytearray(), bytearray(), 0
    for member in members:
        true = {"crc": zlib.crc32(member.data), "compressed": len(member.data), "expanded": len(member.data)}
        central = true | dict(member.declared)
        local = central | dict(member.local)
        name = member.name if member.local_name is None else member.local_name
        offset = len(body) if member.offset is None else member.offset
        local_flags = member.flags if member.local_flags is None else member.local_flags
        body += struct.pack(
            "<4sHHHHHLLLHH", b"PK\x03\x04", member.needed, local_flags, member.method, 0, 0x21,
            local["crc"], local["compressed"], local["expanded"], len(name), len(member.local_extra),
        )  # fmt: skip
        body += name + member.local_extra + member.data + member.behind
        directory += struct.pack(
            "<4sBBHHHHHLLLHHHHHLL", b"PK\x01\x02", 20, 3, member.needed, member.flags, member.method, 0, 0x21,
            central["crc"], central["compressed"], central["expanded"], len(member.name), len(member.extra),
            0, 0, 0, member.attributes, offset,
        )  # fmt: skip
        directory += member.name + member.extra
        count += 1
    said = count if entries is None else entries
    body += between
    start = len(body)
    body += directory
    if is_zip64:
        end64 = len(body)
        body += struct.pack(
            "<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, said, said, len(directory), start
        ) + struct.pack("<4sLQL", b"PK\x06\x07", 0, end64, 1)
        said, start = 0xFFFF, 0xFFFFFFFF
    body += struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, said, said, len(directory), start, len(comment)) + comment
    return before + bytes(body) + after


def deflated(content: bytes) -> bytes:
    """Return what a deflated member holds for this content."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def repeated_gzip(head: bytes, block: bytes, *, times: int) -> bytes:
    """Return a gzip file of a head and a block many times over, which is compressed once only.

    It has no end, since nobody is meant to get there.
    """
    deflater = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    start = deflater.compress(head) + deflater.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the deflater has forgotten all, so the same block gives the same bytes for ever.
    return start + (deflater.compress(block) + deflater.flush(zlib.Z_FULL_FLUSH)) * times


def tar_header(name: str, *, size_bytes: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return the header of one tar member."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size_bytes, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def tar_gz_of_zeros(name: str, *, expanded_bytes: int) -> bytes:
    """Return a tar.gz whose one member expands to this many zeros, a thousand times its size."""
    return repeated_gzip(tar_header(name, size_bytes=expanded_bytes), bytes(MIB), times=expanded_bytes // MIB + 1)


def tar_gz_of_headers(name: str, *, entries: int) -> bytes:
    """Return a tar.gz that names one empty directory again and again."""
    return repeated_gzip(b"", tar_header(name, kind=tarfile.DIRTYPE) * 1000, times=entries // 1000)


def tar_gz_of_huge_header(name: str, *, header_bytes: int) -> bytes:
    """Return a tar.gz that opens with an extended header of this size, which readers take into memory at once."""
    head = tar_header(name, size_bytes=header_bytes, kind=tarfile.XHDTYPE)
    return repeated_gzip(head, bytes(MIB), times=header_bytes // MIB + 1)


def gzip_of_nothing(*, members: int) -> bytes:
    """Return a gzip file of very many members, none of which holds a byte."""
    deflater = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    return (deflater.compress(b"") + deflater.flush()) * members
