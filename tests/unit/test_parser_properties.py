"""What holds of every reader of outside text, whatever it is given: few examples here, many in `make test-all`.

Where a rule is short, a second, plain reading of it stands beside the one that is used.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from services.api.conditions import is_known, precondition_fails, range_is_wanted, unmodified_since
from services.api.content_disposition import attachment, parse_form_data
from services.api.credentials import read_credentials
from services.api.endpoint import description_of
from services.api.form_parser import FormParser, PartBegins, PartData
from services.api.handlers.paths import file_path, record_id
from services.api.header_parameters import parse_parameters
from services.api.negotiation import SimpleFormat, choose_format
from services.api.pagination import read_page_request
from services.api.presenters.compression import Coding, choose_coding
from services.api.problems import NotAcceptable
from services.api.ranges import Part, Range, Unsatisfiable, Whole, parse_range
from services.api.routes import ENDPOINTS
from services.api.schemas.grape import GrapeSchema
from services.api.schemas.keyset import encode_cursor, read_keyset_request
from shared.errors import InvalidForm, InvalidParameters, ValidationFailed
from shared.names import parse_distribution_file_name, sanitize_file_name
from shared.pages import Cursor
from shared.usecases.token_secrets import digest_of
from shared.usecases.visits import parse_group_ref, parse_project_ref

FEW, MANY = 25, 500
SIZE = 10

Property = Callable[..., None]
PROPERTIES: dict[str, tuple[dict[str, st.SearchStrategy[Any]], Property]] = {}


def holds_of(**strategies: st.SearchStrategy[Any]) -> Callable[[Property], Property]:
    """Note a property with what it holds of."""

    def note(found: Property) -> Property:
        PROPERTIES[found.__name__] = (strategies, found)
        return found

    return note


def _try(name: str, examples: int) -> None:
    strategies, found = PROPERTIES[name]
    check = settings(max_examples=examples, suppress_health_check=list(HealthCheck))(given(**strategies)(found))
    cast(Callable[[], None], check)()


blanks = st.sampled_from(["", " ", "\t", " \t "])
digits = st.text("0123456789", max_size=4) | st.just("9" * 30)
odd_text = st.text(max_size=40) | st.sampled_from(
    ["\0", "\r\n", "%0d%0a", "..", "../", "%2f", "a" * 9000, "\ud800", "9" * 5000]
)
weights = st.sampled_from(
    ["", ";q=1", ";q=0", ";q=0.5", "; Q=0.25", ";q=2", ";q=", ";q=0.1234", ";a=b;q=0.3", ";q=1.000"]
)


class _Request:
    """As much of a request as readers of paths and of credentials look at."""

    def __init__(self, text: str, headers: CIMultiDict[str] | None = None) -> None:
        self.match_info = {"name": text}
        self.query = {"private_token": text}
        self.headers = headers or CIMultiDict()


# Ranges


def plainly_read_range(header: str, size: int) -> Range:
    unit, equals, wanted = header.strip(" \t").partition("=")
    first, dash, last = wanted.partition("-")
    first, last = first.strip(" \t"), last.strip(" \t")
    if unit.strip(" \t").lower() != "bytes" or not equals or not dash or not re.fullmatch("[0-9]*", first + last):
        return Whole()
    if not first:
        length = min(int(last), size) if last else None
        return Whole() if length is None else Part(size - length, length) if length else Unsatisfiable()
    if last and int(last) < int(first):
        return Whole()
    if int(first) >= size:
        return Unsatisfiable()
    return Part(int(first), (min(int(last), size - 1) if last else size - 1) - int(first) + 1)


@holds_of(
    header=st.builds(
        lambda *pieces: "".join(pieces),
        blanks,
        st.sampled_from(["bytes", "BYTES", "items", ""]),
        blanks,
        st.sampled_from(["=", "", "=="]),
        blanks,
        digits,
        blanks,
        st.sampled_from(["-", "", "--", ",", "-5,"]),
        blanks,
        digits,
        blanks,
    ),
    size=st.integers(0, SIZE),
)
def ranges_are_read_as_the_plain_reading_has_them(header: str, size: int) -> None:
    assert parse_range(header, size) == plainly_read_range(header, size)


# Negotiation


def _named_weights(header: str) -> list[tuple[str, float]]:
    """Return each element with its weight; those with a malformed one are left out."""
    found = []
    for element in header.split(","):
        name, *parameters = (part.strip(" \t") for part in element.split(";"))
        given_weights = [text[2:] for text in parameters if text.lower().startswith("q=")]
        weight = given_weights[0] if given_weights else "1"
        if name and re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", weight):
            found.append((name.lower(), float(weight)))
    return found


def plainly_chosen_coding(header: str) -> Coding:
    named = {"gzip" if name == "x-gzip" else name: weight for name, weight in _named_weights(header)}
    liked = {coding: named.get(coding, named.get("*", 0.0)) for coding in (Coding.ZSTD, Coding.GZIP)}
    best = Coding.GZIP if liked[Coding.GZIP] > liked[Coding.ZSTD] else Coding.ZSTD
    return best if liked[best] > 0 and liked[best] >= named.get("identity", 0.0) else Coding.IDENTITY


@holds_of(
    header=st.lists(
        st.tuples(st.sampled_from(["gzip", "zstd", "GZip", "x-gzip", "br", "identity", "*", ""]), weights).map("".join),
        max_size=5,
    ).map(", ".join)
)
def codings_are_chosen_as_the_plain_reading_has_them(header: str) -> None:
    assert choose_coding([header], size_bytes=10_000) is plainly_chosen_coding(header)


_JSON, _HTML, _PLAIN = SimpleFormat.JSON, SimpleFormat.HTML, SimpleFormat.PLAIN_HTML
_MEDIA_RANGES: dict[str, dict[SimpleFormat, int]] = {
    "application/vnd.pypi.simple.v1+json": {_JSON: 2},
    "application/vnd.pypi.simple.latest+json": {_JSON: 2},
    "application/vnd.pypi.simple.v1+html": {_HTML: 2},
    "text/html": {_PLAIN: 2},
    "text/*": {_PLAIN: 1},
    "application/*": {_JSON: 1, _HTML: 1},
    "*/*": {_JSON: 0, _HTML: 0, _PLAIN: 0},
    "image/png": {},
}


def plainly_chosen_format(header: str) -> SimpleFormat | None:
    if not header.strip(" ,"):
        return _PLAIN
    of: dict[SimpleFormat, tuple[int, float]] = {}
    for media_range, weight in _named_weights(header):
        for name, precision in _MEDIA_RANGES[media_range].items():
            of[name] = max(of.get(name, (-1, 0.0)), (precision, weight))
    best = max((weight for _, weight in of.values()), default=0.0)
    wanted = {name: precision for name, (precision, weight) in of.items() if weight == best and best > 0}
    named = [name for name in (_JSON, _HTML, _PLAIN) if wanted.get(name) == 2]
    return next(iter([*named, *(name for name in (_PLAIN, _JSON, _HTML) if name in wanted)]), None)


@holds_of(
    header=st.lists(st.tuples(st.sampled_from(sorted(_MEDIA_RANGES)), weights).map("".join), max_size=5).map(",".join)
)
def formats_are_chosen_as_the_plain_reading_has_them(header: str) -> None:
    try:
        chosen: SimpleFormat | None = choose_format([header], requested=None)
    except NotAcceptable:
        chosen = None
    assert chosen is plainly_chosen_format(header)


@holds_of(
    name=st.text("abcXYZ-", min_size=1, max_size=8),
    value=st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
)
def parameters_that_were_quoted_are_read_back(name: str, value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_parameters(f'x; {name}="{quoted}"') == ("x", {name.lower(): value})


# Conditions and credentials


dates = st.datetimes(timezones=st.just(UTC)) | st.just(datetime.min.replace(tzinfo=UTC))
values = (
    odd_text
    | dates.map(str)
    | st.sampled_from(['"a"', 'W/"a", "b"', "*", "Thu, 01 Jan 1970 00:00:00 +9999", "1 Jan 0"])
)
fields = st.sampled_from(["If-Match", "If-None-Match", "If-Range", "If-Modified-Since", "If-Unmodified-Since"])


@holds_of(given_fields=st.lists(st.tuples(fields, values), max_size=3), at=dates)
def no_condition_is_more_than_ignored(given_fields: list[tuple[str, str]], at: datetime) -> None:
    headers = CIMultiDict(given_fields)
    for holds in (is_known, precondition_fails, range_is_wanted):
        assert holds(headers, etag='"a"', modified_at=at) in (True, False)
    unmodified_since(headers)


secret_fields = st.sampled_from(["Authorization", "PRIVATE-TOKEN", "Deploy-Token", "JOB-TOKEN", "Sudo"])
secret_values = odd_text | odd_text.map(lambda text: f"Basic {text}") | odd_text.map(lambda text: f"bearer {text}")


@holds_of(given_fields=st.lists(st.tuples(secret_fields, secret_values), max_size=3), query=odd_text)
def no_credential_is_more_than_unknown(given_fields: list[tuple[str, str]], query: str) -> None:
    # As they come off the wire, where bytes that are no text are lone surrogates.
    arrived = [
        (name, text.encode("utf-8", "replace").decode("ascii", "surrogateescape")) for name, text in given_fields
    ]
    found = read_credentials(
        cast(web.Request, _Request(query.encode("utf-8", "replace").decode(), CIMultiDict(arrived)))
    )
    for secret in (found.private_token, found.bearer, found.deploy_token, found.job_token):
        assert secret is None or digest_of(secret)


# Paths and names


path_texts = odd_text | st.lists(
    st.sampled_from(["..", ".", "/", "\\", "%2e%2e", "%2f", "%5c", "a", "%00", "%252e", "\n", ""]), max_size=8
).map("".join)


@holds_of(text=path_texts)
def a_path_that_is_let_through_stays_below_where_it_begins(text: str) -> None:
    request = cast(web.Request, _Request(text))
    with suppress(InvalidParameters):
        path = file_path(request, "name", told_as="name")
        for spelt in (path, URL(f"/{path}", encoded=True).path.removeprefix("/")):
            assert not {"..", "."} & set(re.split(r"[/\\]", spelt)), spelt
            assert not spelt.startswith("/")
            assert not re.search(r"[\x00-\x1f\x7f]", spelt)
    with suppress(InvalidParameters):
        assert 0 <= record_id(request, "name", told_as="name") < 2**63
    for reference in (parse_project_ref(text), parse_group_ref(text)):
        assert reference is None or isinstance(reference, str) or 0 < reference < 2**63


@holds_of(text=path_texts)
def a_file_name_is_one_component_that_any_disk_and_any_header_takes(text: str) -> None:
    with suppress(ValidationFailed):
        name = sanitize_file_name(text)
        assert not {"/", "\\", "\0", "\r", "\n", '"'} & set(name)
        assert name not in ("", ".", "..")
        assert len(name.encode()) <= 255
        assert "\n" not in attachment(name)
    with suppress(ValidationFailed):
        assert parse_distribution_file_name(text).canonical_version


# Cursors, pages and parameters


@holds_of(number=st.integers(1, 10**18), is_backward=st.booleans(), size=st.integers(1, 20))
def cursors_are_read_back(number: int, is_backward: bool, size: int) -> None:  # noqa: FBT001 - hypothesis names them
    cursor = Cursor(number, is_backward=is_backward)
    assert read_keyset_request({"cursor": encode_cursor(cursor), "per_page": size}).cursor == cursor


@holds_of(text=odd_text | st.text("eyJpZCI6IjEiLCJfa2QiOiJuIn0=-_", max_size=60))
def whatever_calls_itself_a_cursor_is_one_or_is_refused(text: str) -> None:
    with suppress(InvalidParameters):
        found = read_keyset_request({"cursor": text}).cursor
        assert found is None or 0 < found.id < 10**19


@holds_of(page=odd_text | digits, size=odd_text | digits)
def pages_are_numbers_or_refused(page: str, size: str) -> None:
    query = {name: text.encode("utf-8", "replace").decode() for name, text in (("page", page), ("per_page", size))}
    with suppress(InvalidParameters):
        wanted = read_page_request(make_mocked_request("GET", str(URL("/").with_query(query))))
        assert wanted.number >= 1
        assert 1 <= wanted.size <= 100
        assert wanted.offset < 2**62


SCHEMAS = sorted(
    {
        schema
        for endpoint in ENDPOINTS
        if (schema := description_of(endpoint.handler).takes) is not None and issubclass(schema, GrapeSchema)
    },
    key=lambda schema: schema.__name__,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | odd_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3),
    max_leaves=6,
)


@holds_of(data=st.data())
def parameters_are_what_they_must_be_or_refused(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from(SCHEMAS))()
    names = st.sampled_from(sorted(schema.load_fields))
    with suppress(InvalidParameters):
        schema.read(data.draw(st.dictionaries(names, json_values)))


# Forms


BOUNDARY = b"sep"
MAX_PARTS = 4
"""Few enough that some of these forms have more."""
pieces = st.sampled_from(
    [
        *(
            b"--sep",
            b"--sep--",
            b"\r\n",
            b"\n",
            b"\r",
            b"Content-Disposition: form-data; ",
            b'name="a"',
            b'; filename="b"',
        ),
        *(
            b"\r\n\r\n",
            b"Content-Type: multipart/mixed",
            b"Content-Transfer-Encoding: base64",
            b"--",
            b"\x00\xff",
            b"x" * 99,
        ),
    ]
)


def _outcome(body: bytes, edges: list[int]) -> list[tuple[str, str | None, bytes]] | None:
    """Return name, file name and bytes of each part; None for what is no form."""
    parser, parts = FormParser(BOUNDARY, max_parts=MAX_PARTS), []
    try:
        for start, end in pairwise([0, *sorted(edges), len(body)]):
            for event in parser.feed(body[start:end]):
                match event:
                    case PartBegins(name=name, file_name=file_name):
                        parts.append((name, file_name, b""))
                    case PartData(data=data):
                        name, file_name, before = parts[-1]
                        parts[-1] = (name, file_name, before + data)
        parser.finish()
    except InvalidForm:
        return None
    return parts


@holds_of(
    body=st.lists(pieces, max_size=20).map(
        lambda rest: b'--sep\r\nContent-Disposition: form-data; name="a"' + b"".join(rest)
    ),
    changes=st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=3)), max_size=3),
    edges=st.lists(st.integers(0, 400), max_size=6),
)
def a_form_is_the_same_however_it_arrives(body: bytes, changes: list[tuple[int, bytes]], edges: list[int]) -> None:
    for at, replaced in changes:
        body = body[:at] + replaced + body[at + 1 :]
    whole = _outcome(body, [])
    assert _outcome(body, [edge for edge in edges if edge <= len(body)]) == whole
    assert _outcome(body, list(range(len(body)))) == whole
    assert whole is None or sum(len(data) for _, _, data in whole) <= len(body)


@holds_of(header=st.lists(pieces | st.binary(max_size=5), max_size=6).map(b"".join))
def a_head_names_a_part_or_is_refused(header: bytes) -> None:
    with suppress(InvalidForm):
        assert parse_form_data(b"form-data; " + header).name


@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_it_holds(name: str) -> None:
    _try(name, FEW)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(PROPERTIES))
def test_it_holds_of_many(name: str) -> None:
    _try(name, MANY)
