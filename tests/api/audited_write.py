"""A request that changes something, with what has to be told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Write:
    """A request that changes something, and what has to be told of it.

    Args:
        endpoint: method and path, as the URL table has them.
        names: what stands in the path: parameter -> place.
        form: what is sent with a file, in the place of a body.
        file: its name and its bytes.
        by: whose token it comes with.
        target: with what the answer's body says in braces, or with a place in angle brackets.
        project: likewise, what is told beside the target.
        namespace: likewise.
        details: None: they are not looked at.
        refused: as whom else it is tried in vain, and what the status is then, beside a token of the same user that may
            only read; None where everybody may.
        unasked: the status without a token, with which it is always tried.
    """

    endpoint: tuple[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    file: tuple[str, bytes] | None = None
    by: str = "root"
    status: int = 200
    action: str = ""
    target: str = ""
    project: str = ""
    namespace: str = ""
    details: Mapping[str, Any] | None = None
    refused: tuple[str, int] | None = ("stranger", 403)
    unasked: int = 401
