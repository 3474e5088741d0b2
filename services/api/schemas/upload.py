"""An upload's form as it comes in.

Source: lib/api/pypi_packages.rb; app/models/packages/pypi/metadatum.rb (the limits); contract, PyPI 6.1.
"""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from services.api.credentials import SECRET_PARAMETERS
from services.api.multipart import FILE_FIELD, ReceivedFile, ReceivedForm
from services.api.schemas.grape import INVALID, MISSING, GrapeSchema, JsonSchema
from shared.lines import as_line, truncated
from shared.usecases.upload import REQUIRES_PYTHON_CHARACTERS, UploadForm

_TRUNCATED = {
    "requires_python": REQUIRES_PYTHON_CHARACTERS,
    "metadata_version": 16,
    "author_email": 2048,
    "description": 4000,
    "description_content_type": 128,
    "summary": 255,
    "keywords": 1024,
}
"""Field -> how many characters of it are kept. A longer one is no error."""
_ATTESTATIONS = "attestations"
_MD5 = "md5_digest"
_NOT_KEPT = SECRET_PARAMETERS | {_ATTESTATIONS}
_HEX = re.compile(r"[0-9A-Fa-f]*")


class _File(fields.Field[ReceivedFile]):
    def __init__(self) -> None:
        super().__init__(required=True, error_messages={"required": MISSING})

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "format": "binary"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> ReceivedFile:
        if not isinstance(value, ReceivedFile):
            raise ValidationError(INVALID)
        return value


class _Single(fields.Field[str]):
    """A field that may be there once: a second one would leave open which of them counts."""

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], str):
            raise ValidationError(INVALID)
        return value[0]


class _Digest(_Single):
    """A digest in hexadecimal, in either case.

    Args:
        may_be_blank: a blank one says nothing.
    """

    def __init__(self, *, length: int, may_be_blank: bool = True) -> None:
        super().__init__()
        self.length = length
        self.may_be_blank = may_be_blank

    @property
    def json_schema(self) -> JsonSchema:
        return {"type": "string", "pattern": f"^[0-9A-Fa-f]{{{self.length}}}$"}

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if self.may_be_blank and not (text := text.strip()):
            return ""
        if len(text) != self.length or not _HEX.fullmatch(text):
            raise ValidationError(INVALID)
        return text.lower()


class UploadSchema(GrapeSchema):
    """The form of an upload."""

    content = _File()
    name = _Single(required=True, error_messages={"required": MISSING})
    version = _Single(required=True, error_messages={"required": MISSING})
    requires_python = _Single()
    md5_digest = _Digest(length=32)
    sha256_digest = _Digest(length=64, may_be_blank=False)
    blake2_256_digest = _Digest(length=64)
    metadata_version = _Single()
    author_email = _Single()
    description = _Single()
    description_content_type = _Single()
    summary = _Single()
    keywords = _Single()
    attestations = _Single()


def read_upload(form: ReceivedForm, *, takes_md5: bool) -> tuple[UploadForm, ReceivedFile]:
    """Return what the form says, and its file.

    Every text field is kept as it was sent, whether anybody knows it or not, but for those that are shortened, for the
    attestations, which are stored by themselves, and for credentials, which are looked for elsewhere and kept nowhere.

    Args:
        takes_md5: else an MD5 is passed over, whatever it says.

    Raises:
        InvalidParameters: the file, the name or the version is missing, or a field is malformed.
    """
    sent = {name: values for name, values in form.fields.items() if takes_md5 or name != _MD5}
    parameters: dict[str, Any] = dict(sent)
    if not any(form.fields.get(FILE_FIELD, ())):
        parameters.pop(FILE_FIELD, None)  # A blank text is none.
        if form.file is not None:
            parameters[FILE_FIELD] = form.file
    upload = UploadSchema().read(parameters)
    file: ReceivedFile = upload[FILE_FIELD]
    kept = {name: [truncated(upload[name], length)] for name, length in _TRUNCATED.items() if name in upload}
    return UploadForm(
        name=upload["name"],
        version=upload["version"],
        file_name=file.file_name,
        requires_python=as_line(kept.get("requires_python", [""])[0]) or None,
        sha256_digest=upload.get("sha256_digest") or None,
        attestations=upload.get(_ATTESTATIONS, "").strip() or None,
        fields={name: values for name, values in (sent | kept).items() if name not in _NOT_KEPT},
    ), file
