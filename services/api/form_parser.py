"""Split the bytes of a multipart/form-data body into parts, while they arrive, within fixed bounds.

It reads nothing itself: bytes go in, events come out, and what it holds back never exceeds a part's head. aiohttp's own
reader would have to be fenced in from outside (it bounds neither the preamble nor the number of parts, and tells
malformed bodies by half a dozen exception types); this one cannot be fed past its bounds.

Source: RFC 2046 section 5.1.1, RFC 7578.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from services.api.content_disposition import parse_form_data
from shared.errors import InvalidForm

MAX_HEAD_BYTES = 16 * 1024
"""How long the header lines of one part may be together."""
MAX_OUTSIDE_BYTES = 1024
"""How much may stand before the first boundary, or after the last."""

_MAX_PADDING_BYTES = 64
_IDENTITY_ENCODINGS = (b"7bit", b"8bit", b"binary")
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class PartBegins:
    """A part's head.

    Args:
        file_name: None when the part is a plain text field; may be empty.
    """

    name: str
    file_name: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """Some of a part's bytes; never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part is whole."""


Event = PartBegins | PartData | PartEnds


class _Place(Enum):
    PREAMBLE = auto()
    DELIMITER = auto()
    HEAD = auto()
    BODY = auto()
    EPILOGUE = auto()


class FormParser:
    """Turns chunks of a body into events.

    Args:
        boundary: as the Content-Type names it, 1 to 70 characters.
        max_parts: how many parts the form may have.
    """

    def __init__(self, boundary: bytes, *, max_parts: int) -> None:
        self._max_parts = max_parts
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter needs no line break before it; with this one, all delimiters look alike.
        self._held = b"\r\n"
        self._place = _Place.PREAMBLE
        self._parts = 0
        self._blank_line = 0
        self._outside_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield what the next bytes of the body tell; every event must be taken before more is fed.

        Raises:
            InvalidForm: the body is malformed, or breaks a bound.
        """
        held = self._held + chunk if self._held else chunk
        start = 0
        while True:
            place = self._place
            match place:
                case _Place.PREAMBLE:
                    step = self._pass_preamble(held, start)
                case _Place.DELIMITER:
                    step = self._end_delimiter(held, start)
                case _Place.HEAD:
                    step, event = self._read_head(held, start)
                    if event:
                        yield event
                case _Place.BODY:
                    step, data = self._read_body(held, start)
                    if data:
                        yield PartData(data)
                    if self._place is _Place.DELIMITER:
                        yield PartEnds()
                case _Place.EPILOGUE:
                    step = self._pass_epilogue(held, start)
            start = step
            if self._place is place:
                break
        self._held = held[start:]

    def finish(self) -> None:
        """Accept that no more bytes will come.

        Raises:
            InvalidForm: the form was not closed.
        """
        if self._place is not _Place.EPILOGUE:
            raise InvalidForm("the form ends before its closing boundary")

    def _pass_preamble(self, held: bytes, start: int) -> int:
        found = held.find(self._delimiter, start)
        if found < 0:
            if len(held) > MAX_OUTSIDE_BYTES + len(self._delimiter):
                raise InvalidForm("the body does not begin with the boundary that its Content-Type names")
            return start
        if found > MAX_OUTSIDE_BYTES:
            raise InvalidForm("the body does not begin with the boundary that its Content-Type names")
        self._place = _Place.DELIMITER
        return found + len(self._delimiter)

    def _end_delimiter(self, held: bytes, start: int) -> int:
        """Read what follows a delimiter on its line: nothing, blanks, or the two dashes that close the form."""
        if held.startswith(b"--", start):
            self._place = _Place.EPILOGUE
            return start + 2
        end = held.find(b"\r\n", start, start + _MAX_PADDING_BYTES)
        if end < 0 and len(held) - start < _MAX_PADDING_BYTES:
            return start
        if end < 0 or held[start:end].strip(b" \t"):
            raise InvalidForm("a line begins with the boundary and does not end there")
        if self._parts == self._max_parts:
            raise InvalidForm(f"the form has more than {self._max_parts} parts")
        self._parts += 1
        self._place = _Place.HEAD
        return end + 2

    def _read_head(self, held: bytes, start: int) -> tuple[int, PartBegins | None]:
        end = held.find(b"\r\n\r\n", start, start + MAX_HEAD_BYTES)
        if end < 0:
            if len(held) - start >= MAX_HEAD_BYTES:
                raise InvalidForm(f"the head of a part is longer than {MAX_HEAD_BYTES} bytes")
            return start, None
        self._place = _Place.BODY
        self._blank_line = 2
        return end + 2, _part_begins(held[start:end])

    def _read_body(self, held: bytes, start: int) -> tuple[int, bytes]:
        # The blank line after the head is still there: when it belongs to a delimiter, the part is empty.
        data_start = start + self._blank_line
        found = held.find(self._delimiter, start)
        if found >= 0:
            self._place = _Place.DELIMITER
            return found + len(self._delimiter), held[data_start:found]
        # Only from here on could a delimiter begin whose end has not arrived.
        possible = held.find(b"\r", max(start, len(held) - len(self._delimiter) + 1))
        end = len(held) if possible < 0 else possible
        if end <= data_start:
            return start, b""
        self._blank_line = 0
        return end, held[data_start:end]

    def _pass_epilogue(self, held: bytes, start: int) -> int:
        self._outside_bytes += len(held) - start
        if self._outside_bytes > MAX_OUTSIDE_BYTES:
            raise InvalidForm("the body goes on after its closing boundary")
        return len(held)


def _part_begins(head: bytes) -> PartBegins:
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not _HEADER_NAME.fullmatch(name) or name.lower() in headers:
            raise InvalidForm("the head of a part has a malformed line")
        headers[name.lower()] = value.strip(b" \t")
    if headers.get(b"content-transfer-encoding", b"binary").lower() not in _IDENTITY_ENCODINGS:
        raise InvalidForm("a part has a Content-Transfer-Encoding; send its bytes as they are")
    if headers.get(b"content-type", b"").lower().startswith(b"multipart/"):
        raise InvalidForm("a part is itself a multipart body")
    disposition = parse_form_data(headers.get(b"content-disposition", b""))
    return PartBegins(disposition.name, disposition.file_name)
