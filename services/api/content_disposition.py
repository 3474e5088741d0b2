"""Read and write the Content-Disposition header, both ways it is used: parts of a form, and downloads.

Source: RFC 7578 section 4.2, RFC 6266, RFC 8187; what browsers, curl and urllib3 really send.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from services.api.header_parameters import parse_parameters
from shared.errors import InvalidForm

MAX_NAME_LENGTH = 255
"""How long a part's name may be, and its file name, in characters."""

_EXTENDED = re.compile(r"(?P<charset>utf-8|iso-8859-1)'[^']*'(?P<value>(?:[^%]|%[0-9A-Fa-f]{2})*)", re.IGNORECASE)
_PLAIN = "!#$&+^`|"
"""What RFC 8187 leaves as it is (`attr-char`), beside letters, digits and what `quote` leaves anyway."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class FormData:
    """What a part's header says.

    Args:
        file_name: None when it names none; may be empty.
    """

    name: str
    file_name: str | None


def parse_form_data(header: bytes) -> FormData:
    """Return the names in a part's Content-Disposition.

    Raises:
        InvalidForm: it is missing or malformed, not UTF-8, or a name is too long or has control characters.
    """
    try:
        kind, parameters = parse_parameters(header.decode())
    except UnicodeDecodeError:
        raise InvalidForm("the Content-Disposition of a part is not UTF-8") from None
    except ValueError:
        raise InvalidForm("the Content-Disposition of a part is malformed") from None
    name = parameters.get("name")
    if kind != "form-data" or not name:
        raise InvalidForm("a part has no Content-Disposition: form-data with a name")
    file_name = parameters.get("filename")
    extended = parameters.get("filename*")
    if extended is not None:
        file_name = _decode_extended(extended)
    for value in (name, file_name or ""):
        if len(value) > MAX_NAME_LENGTH or _CONTROL.search(value):
            raise InvalidForm(f"a part's name is longer than {MAX_NAME_LENGTH} characters or has control characters")
    return FormData(name=name, file_name=file_name)


def attachment(file_name: str) -> str:
    """Return the header of a download of this name, plain and for names beyond ASCII, as GitLab writes it."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe=_PLAIN)}"


def _decode_extended(text: str) -> str:
    match = _EXTENDED.fullmatch(text)
    if match is None:
        raise InvalidForm("the file name of a part is malformed")
    try:
        return unquote_to_bytes(match["value"]).decode(match["charset"])
    except UnicodeDecodeError:
        raise InvalidForm("the file name of a part is not in the charset that it names") from None
