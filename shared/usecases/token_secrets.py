"""Make the secrets of tokens."""

import secrets
from dataclasses import dataclass, field

from shared.models import AccessToken

PERSONAL_PREFIX = "glpat-"
"""By it people and scanners recognise a personal token."""
_RANDOM_BYTES = 24


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token that was just made, with the only copy of its secret."""

    token: AccessToken
    secret: str = field(repr=False)


def new_secret(prefix: str) -> str:
    """Return a secret of 192 random bits that needs no escaping in a URL."""
    return prefix + secrets.token_urlsafe(_RANDOM_BYTES)
