"""Core metadata: the fields of METADATA and PKG-INFO that the registry acts on."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from shared.distributions.archives import shown
from shared.distributions.metadata_rules import MAX_VALUE_CHARACTERS, broken_rules, listed
from shared.errors import DistributionRejected
from shared.lines import is_line
from shared.metadata_headers import parse_fields
from shared.models import CoreMetadata

_READABLE = frozenset({"1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5"})
"""2.0 is no standard, and so a broken rule; but all that it says can be understood."""
_ABSENT = frozenset({"", "UNKNOWN"})
"""How setuptools used to write a field that it had no value for."""
_MAX_FIELD_CHARACTERS = 255
_PARSERS: Mapping[str, Callable[[str], object]] = {
    "Name": partial(canonicalize_name, validate=True),
    "Version": Version,
}
"""Of what must be there."""


def read_core_metadata(raw: bytes, *, has_license_file: Callable[[str], bool]) -> CoreMetadata:
    """Parse METADATA or PKG-INFO.

    What breaks a rule of the standard and is not acted on is told in `flaw`: whether it matters is for others to say.

    Args:
        has_license_file: whether there is in the archive what a License-File of this value names.

    Raises:
        DistributionRejected: a field that the registry acts on is missing, given twice, undecodable or malformed.

    Source: the core metadata specification (PEP 241 to 794).
    """
    fields, unparsed = parse_fields(raw)
    single = cast("Mapping[str, object]", fields)
    metadata_version = _field(single, unparsed, "Metadata-Version")
    if metadata_version not in _READABLE:
        raise DistributionRejected(f"Metadata-Version {shown(metadata_version or '')} is not supported")
    found: dict[str, str | None] = {}
    problems: list[str] = []
    for header in ("Name", "Version", "Requires-Python"):
        try:
            found[header] = _field(single, unparsed, header)
            _check(header, found[header])
        except DistributionRejected as rejection:
            problems.append(rejection.reason)
    if "Requires-Python" not in found:
        fields.pop("requires_python", None)
    broken = broken_rules(fields, metadata_version=metadata_version, has_license_file=has_license_file)
    if problems:
        raise DistributionRejected(listed([*problems, *broken]))
    return CoreMetadata(
        raw=raw,
        name=str(found["Name"]),
        version=str(found["Version"]),
        requires_python=found["Requires-Python"],
        flaw=f"metadata is invalid: {listed(broken)}" if broken else None,
    )


def _check(header: str, value: str | None) -> None:
    parse = _PARSERS.get(header)
    if parse is None:
        return
    if value is None:
        raise DistributionRejected(f"metadata has no {header}")
    try:
        parse(value)
    except (InvalidName, InvalidVersion) as error:
        raise DistributionRejected(f"{header} {shown(value)} in the metadata is invalid") from error


def _field(fields: Mapping[str, object], unparsed: Mapping[str, object], header: str) -> str | None:
    """Return a field's value on one line, or None when it is not there or says nothing."""
    if header.lower() in unparsed:
        raise DistributionRejected(f"metadata gives {header} more than once, or not in UTF-8")
    value = fields.get(header.lower().replace("-", "_"))
    if not isinstance(value, str):
        return None
    text = " ".join(value.split())
    most = MAX_VALUE_CHARACTERS if header == "Requires-Python" else _MAX_FIELD_CHARACTERS
    if len(text) > most or not is_line(text):
        raise DistributionRejected(f"{header} in the metadata is too long or holds control characters")
    return None if text in _ABSENT else text
