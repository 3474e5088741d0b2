"""Make the secrets of tokens."""

import hashlib
import secrets
from dataclasses import dataclass, field

from shared.principals import AccessToken

PERSONAL_PREFIX = "glpat-"
DEPLOY_PREFIX = "gldt-"
JOB_PREFIX = "glcbt-"
"""By their prefixes people and scanners recognise tokens, and know of which kind they are."""
_RANDOM_BYTES = 24


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token that was just made, with the only copy of its secret."""

    token: AccessToken
    secret: str = field(repr=False)


def digest_of(secret: str) -> str:
    """Return the SHA-256 under which a secret is stored.

    One round suffices: the secrets are random and long, so there is nothing to guess.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def new_secret(prefix: str) -> str:
    """Return a secret of 192 random bits that needs no escaping in a URL."""
    return prefix + secrets.token_urlsafe(_RANDOM_BYTES)
