"""Core metadata: the fields of METADATA and PKG-INFO that the registry acts on."""

import re
from typing import cast

from packaging.metadata import parse_email
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from shared.distributions.archives import shown
from shared.errors import DistributionRejected
from shared.models import CoreMetadata

_KNOWN_VERSIONS = frozenset({"1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5"})
"""2.0 was never accepted as a standard, but many wheels that are still installed say it."""
_ABSENT = frozenset({"", "UNKNOWN"})
"""How setuptools used to write a field that it had no value for."""
_MAX_FIELD_CHARACTERS = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_core_metadata(raw: bytes) -> CoreMetadata:
    """Parse METADATA or PKG-INFO.

    What the registry does not act on may be malformed: old distributions break many a rule that is younger than they.

    Raises:
        DistributionRejected: a field that the registry acts on is missing, given twice, undecodable or malformed.

    Source: the core metadata specification (PEP 241 to 794).
    """
    fields, unparsed = parse_email(raw)
    single = cast("dict[str, object]", fields)
    for header in ("Metadata-Version", "Name", "Version", "Requires-Python"):
        if header.lower() in unparsed:
            raise DistributionRejected(f"metadata gives {header} more than once, or not in UTF-8")
    metadata_version = _field(single, "Metadata-Version")
    if metadata_version not in _KNOWN_VERSIONS:
        raise DistributionRejected(f"Metadata-Version {shown(metadata_version or '')} is not supported")
    name = _field(single, "Name")
    if name is None:
        raise DistributionRejected("metadata has no Name")
    version = _field(single, "Version")
    if version is None:
        raise DistributionRejected("metadata has no Version")
    try:
        canonicalize_name(name, validate=True)
        Version(version)
    except InvalidName as error:
        raise DistributionRejected(f"Name {shown(name)} in the metadata is invalid") from error
    except InvalidVersion as error:
        raise DistributionRejected(f"Version {shown(version)} in the metadata is invalid") from error
    return CoreMetadata(raw=raw, name=name, version=version, requires_python=_field(single, "Requires-Python"))


def _field(fields: dict[str, object], header: str) -> str | None:
    """Return a field's value on one line, or None when it is not there or says nothing."""
    value = fields.get(header.lower().replace("-", "_"))
    if not isinstance(value, str):
        return None
    text = " ".join(value.split())
    if len(text) > _MAX_FIELD_CHARACTERS or _CONTROL.search(text):
        raise DistributionRejected(f"{header} in the metadata is too long or holds control characters")
    return None if text in _ABSENT else text
