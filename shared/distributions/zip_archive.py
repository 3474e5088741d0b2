"""A zip archive that every reader understands alike.

Some readers trust the central directory, others walk from one local header to the next, and an archive that shows
them different members installs something else than was looked at. So only archives are taken whose members fill the
file without gap or overlap, from its first byte to the central directory, and whose two descriptions agree.
"""

import os
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from shared.distributions.archives import ArchiveLimits, member_path, shown
from shared.distributions.zip_records import (
    STORED,
    CentralRecord,
    check_local_record,
    damaged,
    find_directory,
    read_central_record,
    read_exactly,
)
from shared.errors import DistributionRejected

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member whose place and size are known for certain."""

    is_directory: bool
    record: CentralRecord
    data_offset: int


@dataclass(frozen=True, slots=True)
class ZipArchive:
    """The members of a checked archive by path; the path of a directory has no slash at its end."""

    file: BinaryIO
    members: dict[str, ZipMember]

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the content of a member that is a file.

        Raises:
            DistributionRejected: it is larger than `max_bytes`, or its data is damaged.
        """
        member = self.members[path]
        record = member.record
        if record.expanded_bytes > max_bytes:
            raise DistributionRejected(f"{shown(path)} is larger than {max_bytes} bytes")
        self.file.seek(member.data_offset)
        if record.method == STORED:
            content = read_exactly(self.file, record.compressed_bytes)
        else:
            content = _inflate(self.file, record)
        if len(content) != record.expanded_bytes or zlib.crc32(content) != record.crc:
            raise damaged(f"{shown(path)} is not what its checksum says")
        return content


def open_zip(file: BinaryIO, limits: ArchiveLimits) -> ZipArchive:
    """Check an archive from end to end and return its members; nothing is expanded.

    Raises:
        DistributionRejected: it breaks a limit, or readers would understand it differently, or not at all.
    """
    archive_bytes = file.seek(0, os.SEEK_END)
    directory = find_directory(file, archive_bytes)
    limits.check_entries(directory.entries)
    file.seek(directory.starts_at)
    records: dict[str, CentralRecord] = {}
    expanded_bytes = 0
    for _ in range(directory.entries):
        record = read_central_record(file)
        if record.method == STORED and record.compressed_bytes != record.expanded_bytes:
            raise damaged("a stored member has two sizes")
        expanded_bytes += record.expanded_bytes
        limits.check_expansion(expanded_bytes, archive_bytes=archive_bytes)
        path = member_path(record.name, limits=limits)
        if path in records:
            raise DistributionRejected(f"zip archive has two members of one name: {shown(path)}")
        records[path] = record
    if file.tell() != directory.ends_at:
        raise damaged("its central directory has more than its entries")
    in_order = sorted(records.items(), key=lambda entry: entry[1].local_offset)
    ends = [record.local_offset for _, record in in_order] + [directory.starts_at]
    if ends[0] != 0:
        raise DistributionRejected("data precedes the zip archive")
    members = {
        path: ZipMember(
            is_directory=record.name.endswith("/"),
            record=record,
            data_offset=check_local_record(file, record, next_offset=next_offset),
        )
        for (path, record), next_offset in zip(in_order, ends[1:], strict=True)
    }
    return ZipArchive(file=file, members=members)


def _inflate(file: BinaryIO, record: CentralRecord) -> bytes:
    """Return what a deflated member expands to, but never more than one byte beyond what it declares."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = bytearray()
    left_bytes = record.compressed_bytes
    pending = b""
    try:
        while not inflater.eof and len(content) <= record.expanded_bytes:
            if not pending and left_bytes:
                pending = read_exactly(file, min(left_bytes, _CHUNK_BYTES))
                left_bytes -= len(pending)
            expanded = inflater.decompress(pending, record.expanded_bytes + 1 - len(content))
            if not expanded and not pending:
                break
            pending = inflater.unconsumed_tail
            content += expanded
    except zlib.error as error:
        raise damaged("a member's data cannot be expanded") from error
    if not inflater.eof or inflater.unused_data or left_bytes:
        raise damaged("a member's data does not end where it should")
    return bytes(content)
