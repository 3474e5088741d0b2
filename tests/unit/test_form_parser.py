from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.form_parser import (
    MAX_HEAD_BYTES,
    MAX_OUTSIDE_BYTES,
    FormParser,
    PartBegins,
    PartData,
    PartEnds,
)
from shared.errors import InvalidForm

BOUNDARY = b"sep"
MAX_PARTS = 50


@dataclass(frozen=True)
class Part:
    name: str
    file_name: str | None
    data: bytes


def parse(body: bytes, cuts: Sequence[int] = ()) -> list[Part]:
    """Return the parts of a body that arrives cut at these places."""
    parser = FormParser(BOUNDARY, max_parts=MAX_PARTS)
    parts: list[Part] = []
    head: PartBegins | None = None
    data = b""
    edges = [0, *sorted(cuts), len(body)]
    for start, end in pairwise(edges):
        for event in parser.feed(body[start:end]):
            match event:
                case PartBegins():
                    assert head is None
                    head, data = event, b""
                case PartData():
                    assert head is not None
                    assert event.data
                    data += event.data
                case PartEnds():
                    assert head is not None
                    parts.append(Part(head.name, head.file_name, data))
                    head = None
    parser.finish()
    return parts


def render(parts: Sequence[Part], *, preamble: bytes = b"", epilogue: bytes = b"\r\n") -> bytes:
    body = preamble
    for part in parts:
        file_name = b"" if part.file_name is None else b'; filename="' + part.file_name.encode() + b'"'
        body += b'--sep\r\nContent-Disposition: form-data; name="' + part.name.encode() + b'"' + file_name
        body += b"\r\n\r\n" + part.data + b"\r\n"
    return body + b"--sep--" + epilogue


# Bytes that look like the beginnings of delimiters, above all.
data_bytes = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"se", b"sep", b"\r\n--se", b"\r\n--", b"x", b"\x00\xff"])
).map(b"".join)
names = st.text(st.characters(min_codepoint=0x20, exclude_characters='"\\\x7f', codec="utf-8"), min_size=1, max_size=20)
form_parts = st.lists(
    st.builds(Part, name=names, file_name=st.none() | names, data=data_bytes.filter(lambda data: b"--sep" not in data)),
    max_size=6,
)


@given(
    parts=form_parts,
    cuts=st.lists(st.integers(min_value=0, max_value=2000)),
    preamble=st.sampled_from([b"", b"hi\r\n"]),
)
def test_parts_come_out_as_they_went_in_however_the_body_is_cut(
    parts: list[Part], cuts: list[int], preamble: bytes
) -> None:
    body = render(parts, preamble=preamble)
    assert parse(body, [cut for cut in cuts if cut < len(body)]) == parts


@given(parts=form_parts, data=st.data())
def test_a_form_that_is_cut_off_is_never_taken_for_whole(parts: list[Part], data: st.DataObject) -> None:
    body = render(parts, epilogue=b"")
    kept = data.draw(st.integers(min_value=0, max_value=len(body) - 1))
    with pytest.raises(InvalidForm):
        parse(body[:kept])


@given(
    garbage=st.binary(max_size=400) | st.lists(data_bytes | st.sampled_from([b"--sep\r\n", b"\r\n\r\n"])).map(b"".join)
)
def test_garbage_is_a_form_or_an_invalid_one_and_nothing_else(garbage: bytes) -> None:
    with suppress(InvalidForm):
        parse(garbage, range(0, len(garbage), 7))


def test_a_part_may_be_empty_with_and_without_a_line_of_its_own() -> None:
    head = b'--sep\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
    assert parse(head + b"\r\n--sep--") == [Part("a", None, b"")]
    assert parse(head + b"--sep--") == [Part("a", None, b"")]


def test_blanks_after_a_boundary_are_passed_over() -> None:
    assert parse(b'--sep \t\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--sep--') == [Part("a", None, b"1")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the form ends before its closing boundary"),
        (b"x" * 2000, "the body does not begin with the boundary that its Content-Type names"),
        (b"x" * 2000 + b"\r\n--sep--", "the body does not begin with the boundary that its Content-Type names"),
        (b"--separated\r\n", "a line begins with the boundary and does not end there"),
        (b"--sep" + b" " * 100, "a line begins with the boundary and does not end there"),
        (b"--sep\r\nno header\r\n\r\n", "the head of a part has a malformed line"),
        (b"--sep\r\nA: 1\r\nA: 2\r\n\r\n", "the head of a part has a malformed line"),
        (b"--sep\r\nA: 1\r\n folded\r\n\r\n", "the head of a part has a malformed line"),
        (b"--sep\r\n\r\n\r\n\r\n", "the head of a part has a malformed line"),
        (b"--sep\r\nA: 1\r\n\r\n", "a part has no Content-Disposition: form-data with a name"),
        (
            b'--sep\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n',
            "a part has a Content-Transfer-Encoding; send its bytes as they are",
        ),
        (
            b'--sep\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: Multipart/mixed; boundary=b\r\n\r\n',
            "a part is itself a multipart body",
        ),
        (b"--sep\r\nA: " + b"x" * MAX_HEAD_BYTES, f"the head of a part is longer than {MAX_HEAD_BYTES} bytes"),
        (b"--sep--" + b"x" * (MAX_OUTSIDE_BYTES + 1), "the body goes on after its closing boundary"),
        (render([Part("a", None, b"")] * (MAX_PARTS + 1)), f"the form has more than {MAX_PARTS} parts"),
    ],
)
def test_what_is_malformed_or_over_a_bound_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidForm) as caught:
        parse(body)
    assert caught.value.reason == reason


def test_as_many_parts_as_are_allowed_are_taken() -> None:
    assert len(parse(render([Part("classifiers", None, b"x")] * MAX_PARTS))) == MAX_PARTS


def test_little_is_held_back_of_a_large_part() -> None:
    parser = FormParser(b"b" * 70, max_parts=1)
    list(parser.feed(b"--" + b"b" * 70 + b'\r\nContent-Disposition: form-data; name="content"; filename="f"\r\n\r\n'))
    chunk = b"\r" * 100_000
    fed, out = 0, 0
    for _ in range(20):
        fed += len(chunk)
        out += sum(len(event.data) for event in parser.feed(chunk) if isinstance(event, PartData))
        assert fed - out < 80
