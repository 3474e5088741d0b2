"""Pages for people: rendered here, without scripts, and with nothing in them that is not escaped."""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from services.api.schemas.out import instant

CONTENT_TYPE = "text/html; charset=utf-8"
SIGN_IN = "sign_in"
"""The query with which a browser asks to be asked for credentials."""

_TEMPLATES = Path(__file__).parents[1] / "templates"
_STYLE = "page.css"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SENTENCES = {
    HTTPStatus.UNAUTHORIZED: "Whoever you are, this registry does not know.",
    HTTPStatus.FORBIDDEN: "You are known here, but may not see this.",
    HTTPStatus.NOT_FOUND: "There is nothing here, or nothing for you.",
}
_OTHERWISE = "This page cannot be shown at the moment."


@dataclass(frozen=True, slots=True)
class Pages:
    """Renders templates.

    Args:
        security_policy: what a browser may do with a page: show it in our own style, and nothing else.
    """

    environment: Environment
    security_policy: str

    @property
    def headers(self) -> dict[str, str]:
        """Return what stands in the head of every page."""
        return {"Content-Security-Policy": self.security_policy, "Referrer-Policy": "no-referrer"}

    def render(self, template: str, **values: Any) -> bytes:
        """Return the page, with U+FFFD for what cannot be shown."""
        return _UNPRINTABLE.sub("\ufffd", self.environment.get_template(template).render(values)).encode()

    def render_error(self, status: int, *, may_sign_in: bool) -> bytes:
        """Return the page that stands for an error: by its status alone, so that it tells no more than that.

        Args:
            may_sign_in: nobody is signed in, which might help.
        """
        told = HTTPStatus(status)
        return self.render(
            "error.html",
            title=f"{told.value} {told.phrase}",
            sentence=_SENTENCES.get(told, _OTHERWISE),
            sign_in_query=SIGN_IN if may_sign_in else None,
        )


def load_pages() -> Pages:
    """Read the templates from the disk, once and for all."""
    sources = {path.name: path.read_text("utf-8") for path in _TEMPLATES.iterdir()}
    style = sources.pop(_STYLE)
    environment = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["style"] = style
    environment.filters |= {"instant": instant, "day": _day}
    for name in sources:
        environment.get_template(name)  # Compiled now, and not while somebody waits.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return Pages(
        environment=environment,
        security_policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    )


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
