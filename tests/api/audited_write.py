"""A request that changes who may do what, with what has to be told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Write:
    """A request that changes access, and what has to be told of it.

    Args:
        endpoint: method and path, as the URL table has them.
        names: what stands in the path: parameter -> place.
        by: whose token it comes with.
        target: with what the answer's body says in braces, or with a place in angle brackets.
        project: likewise, what is told beside the target.
        namespace: likewise.
        details: None: they are not looked at.
        refused: as whom else it is tried in vain, and what the status is then, beside a token of the same user that may
            only read; None where everybody may. It is always tried without a token.
    """

    endpoint: tuple[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    by: str = "root"
    status: int = 200
    action: str = ""
    target: str = ""
    project: str = ""
    namespace: str = ""
    details: Mapping[str, Any] | None = None
    refused: tuple[str, int] | None = ("stranger", 403)
