"""Take apart header values of the form `value; name=token; name="quoted text"`.

Source: RFC 9110 section 5.6.6; RFC 2045 section 5.1.
"""

import re

_PARAMETER = re.compile(
    r"[ \t]*;[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*"
    r"(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<token>[^\s\";]*))"
)


def parse_parameters(text: str) -> tuple[str, dict[str, str]]:
    """Return the value, lower-cased, and its parameters by lower-cased name.

    In quoted texts only quotes and backslashes count as escaped: old browsers send Windows paths as they are.

    Raises:
        ValueError: it is malformed, or a parameter stands there twice.
    """
    value, semicolon, _ = text.partition(";")
    position = len(value)
    found: dict[str, str] = {}
    while semicolon and position < len(text):
        match = _PARAMETER.match(text, position)
        if match is None:
            if text[position:].strip(" \t;"):
                raise ValueError("malformed parameters")
            break
        name = match["name"].lower()
        if name in found:
            raise ValueError("a parameter stands there twice")
        found[name] = match["token"] if match["quoted"] is None else re.sub(r'\\(["\\])', r"\1", match["quoted"])
        position = match.end()
    return value.strip(" \t").lower(), found
