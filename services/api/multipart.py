"""Stream an upload's form: the file part into a blob, the text fields into memory, both within bounds."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from aiohttp import hdrs, web

from services.api.body import read_chunks, read_small
from services.api.form_parser import Event, FormParser, PartBegins, PartData, PartEnds
from services.api.header_parameters import parse_parameters
from shared.errors import FileTooLarge, InvalidForm, InvalidParameters
from shared.ports.blob_store import BlobWriter
from shared.usecases.storage_room import StorageRoom

FILE_FIELD = "content"

OpenFile = Callable[[], Awaitable[BlobWriter]]


@dataclass(frozen=True, slots=True)
class FormLimits:
    """What an upload may take.

    Args:
        file_bytes: the largest file; one of just this size is taken.
        other_bytes: how much of the body may be anything but the file: a long description, mostly.
        parts: how many parts the form may have.
        seconds: how long the whole body may take to arrive.
        room: what else the file must fit into; None: nothing.
    """

    file_bytes: int
    other_bytes: int
    parts: int
    seconds: float
    room: StorageRoom | None = None


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """The file part.

    Args:
        file_name: as the client sent it; not empty.
        blob: holds all its bytes, uncommitted.
    """

    file_name: str
    blob: BlobWriter


@dataclass(frozen=True, slots=True)
class ReceivedForm:
    """All that a form held.

    Args:
        file: None when no file was sent.
        fields: the text fields: name -> values in order. A `content` that is mere text is among them.
    """

    file: ReceivedFile | None
    fields: dict[str, list[str]]


async def read_form(request: web.Request, open_file: OpenFile, *, limits: FormLimits) -> ReceivedForm:
    """Read the request's form, its parts in whatever order.

    Args:
        open_file: called once, when the file part begins; what it returns is never committed here.

    Raises:
        InvalidForm: the body is no form, is malformed or cut off, or breaks a bound.
        InvalidParameters: a text field is not UTF-8 or holds a NUL; two files were sent.
        FileTooLarge, QuotaExceeded: the file is over a limit, told as soon as that is certain.
        UploadStalled: the client was too slow.
    """
    kind, parameters = _content_type(request)
    if not request.body_exists or kind == "application/x-www-form-urlencoded":
        # Such a form holds no file, and its sender is told what is missing.
        return ReceivedForm(file=None, fields=await _read_url_encoded(request, max_fields=limits.parts))
    parser = FormParser(_boundary(kind, parameters), max_parts=limits.parts)
    _check_declared_length(request, limits)
    form = _FormInProgress(open_file=open_file, limits=limits)
    received_bytes = 0
    async for chunk in read_chunks(request, max_seconds=limits.seconds):
        received_bytes += len(chunk)
        for event in parser.feed(chunk):
            await form.take(event)
        if received_bytes - form.file_bytes > limits.other_bytes:
            raise InvalidForm(f"the form holds more than {limits.other_bytes} bytes besides the file")
    parser.finish()
    return ReceivedForm(file=form.file, fields=form.fields)


def _content_type(request: web.Request) -> tuple[str, dict[str, str]]:
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if coding != "identity":
        raise InvalidForm("the body has a Content-Encoding; send it as it is")
    try:
        return parse_parameters(request.headers.get(hdrs.CONTENT_TYPE, ""))
    except ValueError:
        raise _malformed_type() from None


def _malformed_type() -> InvalidForm:
    return InvalidForm("the Content-Type of the body is malformed")


async def _read_url_encoded(request: web.Request, *, max_fields: int) -> dict[str, list[str]]:
    try:
        body = (await read_small(request)).decode()
        return parse_qs(body, keep_blank_values=True, errors="strict", max_num_fields=max_fields)
    except ValueError:
        raise InvalidForm("the body is no URL-encoded form") from None


def _boundary(kind: str, parameters: Mapping[str, str]) -> bytes:
    if kind != "multipart/form-data":
        raise InvalidForm("the body is not multipart/form-data")
    try:
        boundary = parameters.get("boundary", "").encode("ascii")
    except ValueError:
        raise _malformed_type() from None
    if not 1 <= len(boundary) <= 70:
        raise InvalidForm("the Content-Type names no boundary of 1 to 70 characters")
    return boundary


def _check_declared_length(request: web.Request, limits: FormLimits) -> None:
    """Refuse at once what cannot come out small enough, however much of it is not the file."""
    least_bytes = (request.content_length or 0) - limits.other_bytes
    if least_bytes > limits.file_bytes:
        raise FileTooLarge(limits.file_bytes)
    if limits.room is not None:
        limits.room.check(least_bytes)


@dataclass(slots=True)
class _FormInProgress:
    """What has come of a form so far, and the part that is coming."""

    open_file: OpenFile
    limits: FormLimits
    file: ReceivedFile | None = None
    fields: dict[str, list[str]] = field(default_factory=dict)
    file_bytes: int = 0
    part: PartBegins | None = None
    text: bytearray = field(default_factory=bytearray)

    async def take(self, event: Event) -> None:
        match event:
            case PartBegins():
                await self._begin(event)
            case PartData(data=data):
                await self._add(data)
            case PartEnds():
                self._end()

    @property
    def _is_file(self) -> bool:
        return self.part is not None and self.part.name == FILE_FIELD and bool(self.part.file_name)

    async def _begin(self, part: PartBegins) -> None:
        self.part = part
        self.text.clear()
        if not self._is_file:
            return
        if self.file is not None:
            raise InvalidParameters(f"{FILE_FIELD} is invalid")
        self.file = ReceivedFile(file_name=part.file_name or "", blob=await self.open_file())

    async def _add(self, data: bytes) -> None:
        if self._is_file and self.file is not None:
            self.file_bytes += len(data)
            if self.file_bytes > self.limits.file_bytes:
                raise FileTooLarge(self.limits.file_bytes)
            if self.limits.room is not None:
                self.limits.room.check(self.file_bytes)
            await self.file.blob.write(data)
            return
        if self.part is not None and self.part.file_name is None:
            self.text += data

    def _end(self) -> None:
        # Other files (a signature, say) and a file input that was left empty are passed over.
        if self.part is None or self.part.file_name is not None:
            return
        try:
            text = self.text.decode()
        except UnicodeDecodeError:
            raise InvalidParameters(f"{self.part.name} is invalid") from None
        if "\0" in text:
            raise InvalidParameters(f"{self.part.name} is invalid")
        self.fields.setdefault(self.part.name, []).append(text)
