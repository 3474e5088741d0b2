import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.ranges import Part, Unsatisfiable, Whole, parse_range

CONTENT = bytes(range(256)) * 4
SIZE = len(CONTENT)
offsets = st.integers(min_value=0, max_value=2 * SIZE)


def sent(header: str) -> bytes | None:
    match parse_range(header, SIZE):
        case Part(offset=offset, length=length):
            assert length > 0
            return CONTENT[offset : offset + length]
        case Whole():
            return CONTENT
        case Unsatisfiable():
            return None


@given(first=offsets, last=offsets)
def test_a_range_is_the_slice_that_it_names(first: int, last: int) -> None:
    if last < first:
        assert sent(f"bytes={first}-{last}") == CONTENT
    else:
        assert sent(f"bytes={first}-{last}") == (CONTENT[first : last + 1] or None)


@given(first=offsets)
def test_an_open_range_goes_to_the_end(first: int) -> None:
    assert sent(f"bytes={first}-") == (CONTENT[first:] or None)


@given(length=offsets)
def test_a_suffix_is_the_end_however_long_it_is(length: int) -> None:
    assert sent(f"bytes=-{length}") == (CONTENT[-length:] if length else None)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "items=0-1",
        "bytes=0-1,5-6",
        "bytes=1",
        "bytes=0-1x",
        "bytes=\u0661-",
    ],
)
def test_what_is_no_single_range_is_answered_with_the_whole(header: str) -> None:
    assert parse_range(header, SIZE) == Whole()


def test_no_header_asks_for_the_whole() -> None:
    assert parse_range(None, SIZE) == Whole()


def test_numbers_of_any_length_are_read() -> None:
    assert parse_range(f"bytes=0-{'9' * 8000}", SIZE) == Part(0, SIZE)
    assert parse_range(f"bytes=-{'9' * 8000}", SIZE) == Part(0, SIZE)
    assert parse_range(f"bytes={'9' * 8000}-", SIZE) == Unsatisfiable()
    assert parse_range(f"BYTES = {'0' * 8000}1 - 2 ".replace(" - ", "-"), SIZE) == Part(1, 2)


@given(header=st.text(max_size=30).map(lambda rest: f"bytes={rest}"), size=st.integers(min_value=0, max_value=3))
def test_any_text_is_a_range_within_the_file_or_none(header: str, size: int) -> None:
    match parse_range(header, size):
        case Part(offset=offset, length=length):
            assert 0 <= offset < offset + length <= size
        case Whole() | Unsatisfiable():
            pass
