"""The part of the metadata port that lists and shows deploy tokens.

A revoked token is kept for whoever looks into what happened, and is as if it were not there for everybody else.
"""

from datetime import datetime
from typing import Protocol

from shared.models import TokenId
from shared.pages import Page, PageRequest
from shared.ports.token_rows import TokenSource
from shared.principals import AccessToken


class DeployTokenReads(Protocol):
    """Look up the deploy tokens that are not revoked."""

    async def one(self, source: TokenSource, token_id: TokenId) -> AccessToken | None:
        """Return the source's own token of this id, expired or not; None when it has none."""
        ...

    async def of_source(
        self, source: TokenSource, page: PageRequest, *, active_at: datetime | None
    ) -> Page[AccessToken]:
        """Return a page of the source's own tokens, oldest first.

        Args:
            active_at: only those that are good at this instant; None: expired ones too.
        """
        ...

    async def everywhere(self, page: PageRequest, *, active_at: datetime | None) -> Page[AccessToken]:
        """Return a page of the tokens of all groups and projects that are not deleted, oldest first.

        Args:
            active_at: as of `of_source`.
        """
        ...
