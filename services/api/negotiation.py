"""Choose the representation of a simple page.

Source: PEP 691 ("Version + Format Selection"), RFC 9110 section 12.5.1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.api.header_parameters import parse_parameters
from services.api.problems import NotAcceptable


class SimpleFormat(StrEnum):
    """The media types that simple pages come in."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"
    PLAIN_HTML = "text/html"


_LATEST = {
    "application/vnd.pypi.simple.latest+json": SimpleFormat.JSON,
    "application/vnd.pypi.simple.latest+html": SimpleFormat.HTML,
}
_WHEN_NAMED = (SimpleFormat.JSON, SimpleFormat.HTML, SimpleFormat.PLAIN_HTML)
"""Who is named beside others, with the same q: the richest. GitLab sends JSON whenever it is named."""
_WHEN_ANY = (SimpleFormat.PLAIN_HTML, SimpleFormat.JSON, SimpleFormat.HTML)
"""Who takes anything: some read links out of HTML and never say so."""
_Q = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class _Preference:
    """What a client thinks of one format.

    Args:
        precision: 2 where it is named, 1 where its type is, 0 where anything is.
    """

    q: float
    precision: int


def choose_format(accept: Sequence[str], *, requested: str | None) -> SimpleFormat:
    """Return the format to answer in; `latest` comes out as the version that it stands for.

    Args:
        accept: the values of all Accept headers; none means that anything is taken.
        requested: the `format` parameter of the URL, which wins over Accept.

    Raises:
        NotAcceptable: the client takes none of them.
    """
    if requested is not None:
        return _named(requested)
    ranges = [part for value in accept for part in value.split(",") if part.strip()]
    if not ranges:
        return SimpleFormat.PLAIN_HTML
    preferences = _preferences(ranges)
    best = max((preference.q for preference in preferences.values()), default=0.0)
    if best == 0:
        raise NotAcceptable(tuple(SimpleFormat))
    wanted = {name: preference for name, preference in preferences.items() if preference.q == best}
    if any(preference.precision == 2 for preference in wanted.values()):
        return next(name for name in _WHEN_NAMED if name in wanted and wanted[name].precision == 2)
    return next(name for name in _WHEN_ANY if name in wanted)


def _named(requested: str) -> SimpleFormat:
    # A plus that was not percent-encoded arrives as a space.
    name = requested.strip().replace(" ", "+").lower()
    if name in _LATEST:
        return _LATEST[name]
    if name in tuple(SimpleFormat):
        return SimpleFormat(name)
    raise NotAcceptable(tuple(SimpleFormat))


def _preferences(ranges: Sequence[str]) -> dict[SimpleFormat, _Preference]:
    """Return for each format what the most precise range that covers it says; malformed ranges say nothing."""
    found: dict[SimpleFormat, _Preference] = {}
    for text in ranges:
        try:
            media_range, parameters = parse_parameters(text)
        except ValueError:
            continue
        q = parameters.get("q", "1")
        if not _Q.fullmatch(q):
            continue
        for name in SimpleFormat:
            precision = _precision(media_range, name)
            if precision is None or (name in found and found[name].precision > precision):
                continue
            q_here = float(q)
            if name in found and found[name].precision == precision:
                q_here = max(q_here, found[name].q)
            found[name] = _Preference(q=q_here, precision=precision)
    return found


def _precision(media_range: str, name: SimpleFormat) -> int | None:
    if _LATEST.get(media_range, media_range) == name:
        return 2
    if media_range == name.partition("/")[0] + "/*":
        return 1
    return 0 if media_range == "*/*" else None
