"""JSON as GitLab writes it: without blanks between its parts."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


def to_json(value: Any) -> str:
    """Return the value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_response(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer of this value."""
    return web.Response(
        body=to_json(value).encode(), status=status, headers={"Content-Type": "application/json", **(headers or {})}
    )
