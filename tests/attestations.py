"""Attestations as publishers make them, but for the signature, which nobody here can make."""

import base64
import json
from typing import Any

PUBLISH = "https://docs.example.org/attestations/publish/v1"
SLSA = "https://slsa.dev/provenance/v1"


def statement(file_name: str, sha256: str, *, predicate_type: str = PUBLISH, **changes: Any) -> dict[str, Any]:
    """Return an in-toto statement about a file."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": file_name, "digest": {"sha256": sha256}}],
        "predicateType": predicate_type,
        "predicate": None,
        **changes,
    }


def attestation(told: Any, **changes: Any) -> dict[str, Any]:
    """Return an attestation object around a statement."""
    return {
        "version": 1,
        "verification_material": {"certificate": encoded(b"certificate"), "transparency_entries": [{"logIndex": "1"}]},
        "envelope": {"statement": encoded(json.dumps(told).encode()), "signature": encoded(b"signature")},
        **changes,
    }


def encoded(content: bytes) -> str:
    """Return bytes as attestations hold them."""
    return base64.b64encode(content).decode()
