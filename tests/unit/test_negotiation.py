from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.negotiation import SimpleFormat, choose_format
from services.api.problems import NotAcceptable

JSON, HTML, PLAIN = SimpleFormat.JSON, SimpleFormat.HTML, SimpleFormat.PLAIN_HTML
PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
UV = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ([], PLAIN),
        ([""], PLAIN),
        (["*/*"], PLAIN),
        ([PIP], JSON),
        ([UV], JSON),
        ([BROWSER], PLAIN),
        (["text/html"], PLAIN),
        (["TEXT/HTML;charset=utf-8"], PLAIN),
        (["text/*"], PLAIN),
        (["application/*"], JSON),
        (["application/vnd.pypi.simple.v1+html"], HTML),
        (["application/vnd.pypi.simple.latest+json"], JSON),
        (["application/vnd.pypi.simple.latest+html"], HTML),
        (["application/vnd.pypi.simple.v1+json;q=0.1, text/html;q=0.2"], PLAIN),
        (["text/html;q=0.2", "application/vnd.pypi.simple.v1+json;q=0.3"], JSON),
        (["text/html, application/vnd.pypi.simple.v1+json"], JSON),
        (["application/vnd.pypi.simple.v2+json, text/html;q=0.1"], PLAIN),
        (["*/*;q=0.1, text/html;q=0"], JSON),
        (["text/html;q=0.5, */*;q=0.5"], PLAIN),
        (["text/html; q=nonsense, application/vnd.pypi.simple.v1+json;q=0.1"], JSON),
        (["application/json, */*"], PLAIN),
    ],
)
def test_the_accept_headers_of_clients_choose_the_format(accept: list[str], expected: SimpleFormat) -> None:
    assert choose_format(accept, requested=None) is expected


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "image/png",
        "text/html;q=0",
        "*/*;q=0",
        "application/vnd.pypi.simple.v2+json",
        "garbage",
        "/",
    ],
)
def test_a_client_that_takes_nothing_of_it_is_told_what_is_offered(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        choose_format([accept], requested=None)
    assert caught.value.offered == (JSON, HTML, PLAIN)


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("application/vnd.pypi.simple.v1+json", JSON),
        ("application/vnd.pypi.simple.v1 json", JSON),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.v1+html", HTML),
        ("text/html", PLAIN),
    ],
)
def test_the_format_parameter_wins_over_accept(requested: str, expected: SimpleFormat) -> None:
    assert choose_format(["image/png"], requested=requested) is expected


def test_an_unknown_format_parameter_is_not_acceptable() -> None:
    with pytest.raises(NotAcceptable):
        choose_format(["*/*"], requested="application/vnd.pypi.simple.v2+json")


@given(accept=st.lists(st.text(st.characters(codec="utf-8", categories=("L", "P", "S", "N")), max_size=80), max_size=3))
def test_no_accept_header_is_more_than_unacceptable(accept: list[str]) -> None:
    with suppress(NotAcceptable):
        assert choose_format(accept, requested=None) in SimpleFormat
