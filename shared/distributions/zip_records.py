"""The records that a zip archive is made of, parsed one at a time. Source: PKWARE's APPNOTE.TXT, section 4.3."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from shared.errors import DistributionRejected

DEFLATED = 8
STORED = 0
_METHODS = frozenset({STORED, DEFLATED})

ENCRYPTED = 0x0001
HAS_DESCRIPTOR = 0x0008
_PATCHED = 0x0020
_STRONGLY_ENCRYPTED = 0x0040
IS_UTF8 = 0x0800
_MASKED = 0x2000

_NEWEST_FORMAT = 63
"""Version 6.3 of the format, times ten: what zipfile reads."""
_UNIX = 3
_FILE_TYPE = 0o170000
_PLAIN_FILE_TYPES = frozenset({0, 0o100000, 0o040000})

_END = struct.Struct("<4sHHHHLLH")
_END_SIGNATURE = b"PK\x05\x06"
_END64 = struct.Struct("<4sQHHLLQQQQ")
_END64_SIGNATURE = b"PK\x06\x06"
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_SIGNATURE = b"PK\x06\x07"
_CENTRAL = struct.Struct("<4sBBBxHHHHLLLHHHHHLL")
_CENTRAL_SIGNATURE = b"PK\x01\x02"
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_DESCRIPTOR = struct.Struct("<LLL")
_DESCRIPTOR64 = struct.Struct("<LQQ")

_MAX_COMMENT_BYTES = 0xFFFF
_IN_EXTRA_16 = 0xFFFF
_IN_EXTRA_32 = 0xFFFFFFFF
_EXTRA_ZIP64 = 0x0001
_EXTRA_UNICODE_PATH = 0x7075


@dataclass(frozen=True, slots=True)
class DirectoryPosition:
    """Where the central directory lies, as the end of the archive tells.

    Args:
        ends_at: the first byte behind it, where the end records begin.
    """

    entries: int
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class CentralRecord:
    """A member as the central directory describes it."""

    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    compressed_bytes: int
    expanded_bytes: int
    local_offset: int


def damaged(what: str) -> DistributionRejected:
    """Return the refusal of an archive that readers would understand differently, or not at all."""
    return DistributionRejected(f"zip archive is damaged: {what}")


def find_directory(file: BinaryIO, size_bytes: int) -> DirectoryPosition:
    """Find the central directory from the end of the archive.

    Raises:
        DistributionRejected: there is no end record at the very end, there are several, or they contradict each other.
    """
    window_bytes = min(size_bytes, _END.size + _MAX_COMMENT_BYTES)
    file.seek(size_bytes - window_bytes)
    window = read_exactly(file, window_bytes)
    candidates = _end_candidates(window)
    if not candidates:
        if _END_SIGNATURE in window:
            raise DistributionRejected("data follows the end of the zip archive")
        raise DistributionRejected("file is not a zip archive")
    # Inside of member data such bytes mean nothing, so only what claims to end with the file counts.
    if len(candidates) > 1 or _END_SIGNATURE in window[candidates[0] + _END.size :]:
        raise DistributionRejected("zip archive has several end records")
    _, disk, directory_disk, disk_entries, entries, directory_bytes, starts_at, _ = _END.unpack_from(
        window, candidates[0]
    )
    if disk or directory_disk or disk_entries != entries:
        raise DistributionRejected("zip archive is one part of several")
    end_offset = size_bytes - window_bytes + candidates[0]
    found = DirectoryPosition(entries=entries, starts_at=starts_at, ends_at=starts_at + directory_bytes)
    found64 = _find_directory64(file, end_offset)
    if found64 is not None:
        for short, long, in_extra in (
            (entries, found64.entries, _IN_EXTRA_16),
            (starts_at, found64.starts_at, _IN_EXTRA_32),
            (directory_bytes, found64.ends_at - found64.starts_at, _IN_EXTRA_32),
        ):
            if short not in {long, in_extra}:
                raise damaged("its end records contradict each other")
        found, end_offset = found64, end_offset - _LOCATOR.size - _END64.size
    if found.ends_at != end_offset:
        raise damaged("its central directory is not where the end record says, or data precedes the archive")
    return found


def _end_candidates(window: bytes) -> list[int]:
    found = []
    at = window.find(_END_SIGNATURE)
    while at >= 0:
        record = window[at : at + _END.size]
        if len(record) == _END.size and at + _END.size + _END.unpack(record)[-1] == len(window):
            found.append(at)
        at = window.find(_END_SIGNATURE, at + 1)
    return found


def _find_directory64(file: BinaryIO, end_offset: int) -> DirectoryPosition | None:
    """Return what the zip64 end record says when a locator precedes the end record, as zipfile decides it."""
    locator_offset = end_offset - _LOCATOR.size
    if locator_offset < _END64.size:
        return None
    file.seek(locator_offset)
    signature, end64_disk, end64_offset, disks = _LOCATOR.unpack(read_exactly(file, _LOCATOR.size))
    if signature != _LOCATOR_SIGNATURE:
        return None
    if end64_disk or disks > 1:
        raise DistributionRejected("zip archive is one part of several")
    if end64_offset != locator_offset - _END64.size:
        raise damaged("its zip64 end record is not where the locator says")
    file.seek(end64_offset)
    signature, record_bytes, _, _, disk, directory_disk, disk_entries, entries, directory_bytes, starts_at = (
        _END64.unpack(read_exactly(file, _END64.size))
    )
    if signature != _END64_SIGNATURE or record_bytes != _END64.size - 12:
        raise damaged("its zip64 end record is malformed")
    if disk or directory_disk or disk_entries != entries:
        raise DistributionRejected("zip archive is one part of several")
    return DirectoryPosition(entries=entries, starts_at=starts_at, ends_at=starts_at + directory_bytes)


def read_central_record(file: BinaryIO) -> CentralRecord:
    """Read the record of the central directory that begins at the file's position, and stand behind it.

    Raises:
        DistributionRejected: it is malformed, or describes a member that installers cannot read.
    """
    (
        signature, _, system, needed, flags, method, _, _, crc, compressed_bytes, expanded_bytes,
        name_bytes, extra_bytes, comment_bytes, disk, _, attributes, local_offset,
    ) = _CENTRAL.unpack(read_exactly(file, _CENTRAL.size))  # fmt: skip
    if signature != _CENTRAL_SIGNATURE:
        raise damaged("its central directory is malformed")
    raw_name = read_exactly(file, name_bytes)
    extra = _parse_extra(read_exactly(file, extra_bytes))
    read_exactly(file, comment_bytes)
    if flags & (ENCRYPTED | _STRONGLY_ENCRYPTED | _MASKED):
        raise DistributionRejected("zip archive has an encrypted member")
    if method not in _METHODS or flags & _PATCHED or needed > _NEWEST_FORMAT:
        raise DistributionRejected("zip archive has a member that is neither stored nor deflated")
    if system == _UNIX and (attributes >> 16) & _FILE_TYPE not in _PLAIN_FILE_TYPES:
        raise DistributionRejected("zip archive has a member that is a link or a device")
    if disk:
        raise DistributionRejected("zip archive is one part of several")
    expanded_bytes, compressed_bytes, local_offset = _with_zip64(
        extra, (expanded_bytes, compressed_bytes, local_offset)
    )
    name = _decode(raw_name, flags)
    other_name = extra.get(_EXTRA_UNICODE_PATH)
    if other_name is not None and other_name[5:] != name.encode():
        raise DistributionRejected("zip archive has a member with two different names")
    return CentralRecord(
        raw_name=raw_name,
        name=name,
        flags=flags,
        method=method,
        crc=crc,
        compressed_bytes=compressed_bytes,
        expanded_bytes=expanded_bytes,
        local_offset=local_offset,
    )


def check_local_record(file: BinaryIO, record: CentralRecord, *, next_offset: int) -> int:
    """Compare a member's local header with the central directory: readers use the one or the other.

    Args:
        next_offset: where the next member begins, or the central directory.

    Returns:
        Where the member's data begins.

    Raises:
        DistributionRejected: they differ, or the member does not end where the next one begins.
    """
    file.seek(record.local_offset)
    signature, _, flags, method, _, _, crc, compressed_bytes, expanded_bytes, name_bytes, extra_bytes = _LOCAL.unpack(
        read_exactly(file, _LOCAL.size)
    )
    if signature != _LOCAL_SIGNATURE:
        raise damaged("a member has no local header")
    raw_name = read_exactly(file, name_bytes)
    extra = _parse_extra(read_exactly(file, extra_bytes))
    data_offset = file.tell()
    expanded_bytes, compressed_bytes = _with_zip64(extra, (expanded_bytes, compressed_bytes))
    is_same = (raw_name, method, flags & ENCRYPTED) == (record.raw_name, record.method, 0)
    if not raw_name.isascii() and (flags ^ record.flags) & IS_UTF8:
        is_same = False
    sizes = (crc, compressed_bytes, expanded_bytes)
    expected = (record.crc, record.compressed_bytes, record.expanded_bytes)
    if flags & HAS_DESCRIPTOR:
        # The sizes were not known yet when the header was written, so it may also hold zeros.
        is_same = is_same and all(size in {0, right} for size, right in zip(sizes, expected, strict=True))
    else:
        is_same = is_same and sizes == expected
    if not is_same:
        raise damaged("a member's local header differs from the central directory")
    data_end = data_offset + record.compressed_bytes
    if flags & HAS_DESCRIPTOR:
        file.seek(data_end)
        is_closed = 0 < next_offset - data_end <= 24 and _is_descriptor(
            read_exactly(file, next_offset - data_end), expected
        )
    else:
        is_closed = data_end == next_offset
    if not is_closed:
        raise damaged("its members overlap, or data lies between them")
    return data_offset


def read_exactly(file: BinaryIO, size_bytes: int) -> bytes:
    """Read this many bytes.

    Raises:
        DistributionRejected: the file ends before.
    """
    data = file.read(size_bytes)
    if len(data) != size_bytes:
        raise damaged("it ends too early")
    return data


def _is_descriptor(data: bytes, expected: tuple[int, int, int]) -> bool:
    """Say whether these bytes are a data descriptor: with or without signature, with short or long sizes."""
    crc, compressed_bytes, expanded_bytes = expected
    forms = [_DESCRIPTOR64.pack(crc, compressed_bytes, expanded_bytes)]
    if max(compressed_bytes, expanded_bytes) <= _IN_EXTRA_32:
        forms.append(_DESCRIPTOR.pack(crc, compressed_bytes, expanded_bytes))
    return data.removeprefix(_DESCRIPTOR_SIGNATURE) in forms or data in forms


def _parse_extra(extra: bytes) -> dict[int, bytes]:
    """Return the extra fields by their id; fewer than four bytes at the end are padding, as zipfile sees it."""
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        field_id, field_bytes = struct.unpack_from("<HH", extra, at)
        if at + 4 + field_bytes > len(extra):
            raise damaged("an extra field is cut off")
        if field_id in fields and field_id in {_EXTRA_ZIP64, _EXTRA_UNICODE_PATH}:
            raise damaged("an extra field is there twice")
        fields[field_id] = extra[at + 4 : at + 4 + field_bytes]
        at += 4 + field_bytes
    return fields


def _with_zip64(extra: dict[int, bytes], values: tuple[int, ...]) -> tuple[int, ...]:
    """Return sizes and offset with those replaced that stand in the zip64 field, which holds just these, in order."""
    zip64 = extra.get(_EXTRA_ZIP64)
    missing = sum(value == _IN_EXTRA_32 for value in values)
    if zip64 is None or not missing:
        return values
    if len(zip64) != 8 * missing:
        raise damaged("a zip64 field has the wrong size")
    found = iter(struct.unpack(f"<{missing}Q", zip64))
    return tuple(next(found) if value == _IN_EXTRA_32 else value for value in values)


def _decode(raw_name: bytes, flags: int) -> str:
    if not flags & IS_UTF8 and not raw_name.isascii():
        return raw_name.decode("cp437")
    try:
        return raw_name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DistributionRejected("zip archive has a member whose name is not valid UTF-8") from error
