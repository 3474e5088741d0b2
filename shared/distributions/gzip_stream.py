"""The expanded bytes of a gzip file, bounded: nothing is expanded that nobody has asked for."""

import io
import os
import zlib
from typing import TYPE_CHECKING, BinaryIO

from shared.distributions.archives import ArchiveLimits
from shared.errors import DistributionRejected

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAGIC = b"\x1f\x8b"
_WBITS = 16 + zlib.MAX_WBITS
_CHUNK_BYTES = 256 * 1024


class GzipStream(io.RawIOBase):
    """Expands a gzip file of one or several members while it is read; seeks forward only.

    Every read may raise DistributionRejected: the data is damaged, or expands beyond the limits.
    """

    def __init__(self, file: BinaryIO, limits: ArchiveLimits) -> None:
        super().__init__()
        self._file = file
        self._limits = limits
        self._archive_bytes = file.seek(0, os.SEEK_END)
        self._position = 0
        self._pending = b""
        file.seek(0)
        if file.read(len(_MAGIC)) != _MAGIC:
            raise DistributionRejected("file is not a gzip-compressed tar archive")
        file.seek(0)
        self._inflater = zlib.decompressobj(_WBITS)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        target = offset + self._position if whence == os.SEEK_CUR else offset
        if whence == os.SEEK_END or target < self._position:
            # The tar reader goes back only when a member claims to end before it begins.
            raise DistributionRejected("tar archive is damaged: a member has a wrong size")
        scratch = memoryview(bytearray(min(target - self._position, _CHUNK_BYTES)))
        while self._position < target:
            if not self.readinto(scratch[: target - self._position]):
                break
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        expanded = self._expand(len(view))
        view[: len(expanded)] = expanded
        self._position += len(expanded)
        self._limits.check_expansion(self._position, archive_bytes=self._archive_bytes)
        return len(expanded)

    def _expand(self, max_bytes: int) -> bytes:
        """Return at least one byte and at most this many, or none at the end of the last member."""
        while max_bytes:
            if self._inflater.eof and not self._begin_next_member():
                return b""
            chunk = self._pending or self._file.read(_CHUNK_BYTES)
            try:
                expanded = self._inflater.decompress(chunk, max_bytes)
            except zlib.error as error:
                raise DistributionRejected("gzip data is damaged") from error
            self._pending = self._inflater.unconsumed_tail
            if expanded:
                return expanded
            if not chunk and not self._inflater.eof:
                raise DistributionRejected("gzip data ends too early")
        return b""

    def _begin_next_member(self) -> bool:
        """Go on behind the end of a member; False when only padding follows."""
        rest = self._inflater.unused_data
        while len(rest) < len(_MAGIC):
            chunk = self._file.read(_CHUNK_BYTES)
            if not chunk:
                break
            rest += chunk
        if rest.startswith(_MAGIC):
            self._inflater = zlib.decompressobj(_WBITS)
            self._pending = rest
            return True
        # gzip allows zeros at the end, as tapes had them.
        while rest:
            if rest.count(0) != len(rest):
                raise DistributionRejected("data follows the end of the gzip data")
            rest = self._file.read(_CHUNK_BYTES)
        return False
