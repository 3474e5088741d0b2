"""The part of the metadata port that is about access tokens."""

from datetime import datetime
from typing import Protocol

from shared.models import AccessToken, TokenId, TokenKind, UserId


class TokenReads(Protocol):
    """Look up access tokens."""

    async def by_digest(self, digest: str) -> AccessToken | None:
        """Return the token whose secret has this SHA-256, revoked and expired ones too, or None.

        The secrets are random and the digest is the index key, so a look-up tells nothing by its timing.
        """
        ...

    async def of_user(self, user_id: UserId, *, name: str) -> tuple[AccessToken, ...]:
        """Return the user's personal tokens of this name, oldest first, revoked ones too."""
        ...


class TokenWrites(TokenReads, Protocol):
    """Change access tokens."""

    async def add(
        self,
        *,
        kind: TokenKind,
        digest: str,
        name: str,
        user_id: UserId | None,
        scopes: tuple[str, ...],
        expires_at: datetime | None,
    ) -> AccessToken:
        """Add a token of which only the digest is known here.

        Raises:
            RecordInvalid: a token of this digest exists.
        """
        ...

    async def revoke(self, token_id: TokenId, *, at: datetime) -> bool:
        """Revoke the token; return False when it was revoked already."""
        ...

    async def replace_secret(self, token_id: TokenId, *, digest: str) -> None:
        """Give the token another secret; the old one is unknown from now on. A revoked token is good again.

        Raises:
            RecordInvalid: another token has this digest.
        """
        ...

    async def mark_used(self, token_id: TokenId, *, at: datetime) -> None:
        """Note when the token was last used. Bookkeeping: bumps no counter."""
        ...
