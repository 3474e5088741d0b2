"""Lines of text that people and tools write, and that pages, JSON and terminals then show as they are."""

import re

_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
# Whatever ends a line or steers a terminal, and what HTML5 calls an error wherever it stands.
_UNFIT = re.compile(rf"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_NONCHARACTERS}]")


def is_line(text: str) -> bool:
    """Say whether every reader of a page can be shown the text unharmed."""
    return not _UNFIT.search(text)


def as_line(text: str) -> str:
    """Return the text on one line, with a blank for whatever cannot stand there and for every run of blanks."""
    return " ".join(_UNFIT.sub(" ", text).split())


def truncated(text: str, length: int) -> str:
    """Shorten a text as Rails does: what is left is of just this length, three dots included."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
