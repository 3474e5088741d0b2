"""Attestations of files (PEP 740): what they must look like, and that they speak of the very file they came with.

What is checked: version and shape, a statement of in-toto about one subject whose name is the file's and whose SHA-256
is the content's, a known type of predicate, each type once. What is not: signatures, certificates and the transparency
log. Who relies on an attestation verifies it, as the PEP wants it; what is served is what was sent.

Source: PEP 740, "Attestation objects" and "Provenance objects".
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from shared.errors import ValidationFailed

MAX_BYTES = 512 * 1024
"""Of the whole field; a real attestation has about 10 KiB, most of it the log's proof."""
_MOST = 8
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = re.compile(r"https://(?:slsa\.dev/provenance|[a-z0-9.-]+/attestations/publish)/v1")
"""Those that the PEP names; the host of the second is that of the index whose publishers it speaks of."""
_PUBLISHER = b'{"kind":"Larder","claims":null}'


def check_attestations(text: str, *, file_name: str, sha256: str) -> tuple[Mapping[str, Any], ...]:
    """Return the attestations that an upload brings, in the order in which they were sent; empty when there are none.

    Args:
        text: the form's field: a JSON array of attestation objects.
        file_name: what the file is called.
        sha256: the digest of its content.

    Raises:
        ValidationFailed: one of them is malformed or speaks of something else.
    """
    if len(text) > MAX_BYTES:
        raise ValidationFailed(f"attestations are larger than {MAX_BYTES // 1024} KiB")
    found = _parsed(text)
    if not isinstance(found, list):
        raise ValidationFailed("attestations are no JSON array")
    if len(found) > _MOST:
        raise ValidationFailed(f"attestations are more than {_MOST}")
    types = [_checked(one, file_name=file_name, sha256=sha256) for one in found]
    if len(set(types)) != len(types):
        raise ValidationFailed("attestations hold two of the same predicate type")
    return tuple(found)


def encode_attestations(attestations: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Return the attestations as they are stored: a JSON array without blanks, just what was checked; None for none.

    Raises:
        ValidationFailed: they hold what JSON has no word for, such as an infinite number or half a character.
    """
    if not attestations:
        return None
    try:
        return json.dumps(attestations, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise ValidationFailed("attestations are no JSON") from None


def encode_provenance(stored: bytes) -> bytes:
    """Return the provenance object of a file with these attestations: one bundle, vouched for by nobody but who signed.

    The publisher is this registry: it knows who uploaded, but no identity of theirs that others could check. What is
    stored is not parsed again: it goes out as it is.

    Args:
        stored: what `encode_attestations` returned.
    """
    return b'{"version":1,"attestation_bundles":[{"publisher":%b,"attestations":%b}]}' % (_PUBLISHER, stored)


def _checked(attestation: object, *, file_name: str, sha256: str) -> str:
    """Return the type of the attestation's predicate.

    Raises:
        ValidationFailed: it is malformed, or not about this file.
    """
    if _member(attestation, "version", int) != 1:
        raise ValidationFailed("an attestation's version is not 1")
    material = _member(attestation, "verification_material", dict)
    _bytes(material, "certificate")
    if not _member(material, "transparency_entries", list):
        raise ValidationFailed("an attestation has no transparency_entries")
    envelope = _member(attestation, "envelope", dict)
    _bytes(envelope, "signature")
    try:
        statement = _parsed(_bytes(envelope, "statement").decode())
    except UnicodeDecodeError:
        raise ValidationFailed("an attestation's statement is not in UTF-8") from None
    if _member(statement, "_type", str) != _STATEMENT_TYPE:
        raise ValidationFailed("an attestation's statement is none of in-toto v1")
    subjects = _member(statement, "subject", list)
    if len(subjects) != 1:
        raise ValidationFailed("an attestation's statement has not just one subject")
    if _identity(_member(subjects[0], "name", str)) != _identity(file_name):
        raise ValidationFailed(f"an attestation is not about {file_name}")
    if _member(_member(subjects[0], "digest", dict), "sha256", str) != sha256:
        raise ValidationFailed("an attestation's digest does not match the uploaded file")
    predicate_type = str(_member(statement, "predicateType", str))
    if not _PREDICATE_TYPE.fullmatch(predicate_type):
        raise ValidationFailed("an attestation's predicate type is not known")
    return predicate_type


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValidationFailed("attestations are no JSON") from None


def _member(holder: object, name: str, kind: type) -> Any:
    found = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(found, kind) or isinstance(found, bool):
        raise ValidationFailed(f"an attestation's {name} is missing or malformed")
    return found


def _bytes(holder: object, name: str) -> bytes:
    try:
        found = base64.b64decode(_member(holder, name, str), validate=True)
    except (binascii.Error, ValueError):
        raise ValidationFailed(f"an attestation's {name} is not in base64") from None
    if not found:
        raise ValidationFailed(f"an attestation's {name} is empty")
    return found


def _identity(file_name: str) -> object:
    """Return what makes two spellings of a distribution's file name the same (PEP 740: compared as parsed)."""
    try:
        return parse_wheel_filename(file_name) if file_name.endswith(".whl") else parse_sdist_filename(file_name)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return file_name
