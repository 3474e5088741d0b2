from datetime import UTC, datetime

import pytest
from aiohttp import hdrs
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from services.api.presenters.file_response import Plan, Representation, plan_response

ETAG = f'"{"a" * 64}"'
UPLOADED = datetime(2026, 11, 21, 12, 30, 15, 999_999, tzinfo=UTC)
DATE = "Sat, 21 Nov 2026 12:30:15 GMT"
BEFORE = "Sat, 21 Nov 2026 12:30:14 GMT"
AFTER = "Sat, 21 Nov 2026 12:30:16 GMT"
FILE = Representation(
    sha256="a" * 64,
    size_bytes=1000,
    modified_at=UPLOADED,
    cache_control="private, max-age=31536000, immutable",
    headers={"Content-Type": "application/octet-stream"},
)
WHOLE = Plan(
    200,
    {
        "Content-Type": "application/octet-stream",
        hdrs.ETAG: ETAG,
        "Cache-Control": "private, max-age=31536000, immutable",
        "Last-Modified": DATE,
        "Accept-Ranges": "bytes",
        "Content-Length": "1000",
    },
    0,
    1000,
)


def plan(method: str = "GET", **headers: str) -> Plan:
    return plan_response(method, CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}), FILE)


def test_a_plain_get_is_answered_with_the_whole() -> None:
    assert plan() == WHOLE


def test_a_head_has_the_head_of_the_get_and_no_bytes() -> None:
    assert plan("HEAD") == Plan(200, WHOLE.headers)
    assert plan("HEAD", Range="bytes=0-9") == Plan(200, WHOLE.headers)


def test_a_range_is_answered_with_just_its_bytes() -> None:
    part = plan(Range="bytes=-10")
    assert (part.status, part.offset, part.length) == (206, 990, 10)
    assert part.headers["Content-Range"] == "bytes 990-999/1000"
    assert part.headers["Content-Length"] == "10"
    assert part.headers[hdrs.ETAG] == ETAG


def test_a_range_behind_the_end_is_told_where_the_end_is() -> None:
    assert plan(Range="bytes=1000-") == Plan(416, {"Content-Range": "bytes */1000", "Content-Length": "0"})


@pytest.mark.parametrize("condition", [ETAG, DATE])
def test_a_resumed_download_goes_on_when_the_file_is_the_same(condition: str) -> None:
    assert plan(Range="bytes=500-", If_Range=condition).status == 206


@pytest.mark.parametrize("condition", ['"b"', f"W/{ETAG}", BEFORE, AFTER, "nonsense"])
def test_a_resumed_download_begins_anew_when_the_file_is_another(condition: str) -> None:
    assert plan(Range="bytes=500-", If_Range=condition) == WHOLE


@pytest.mark.parametrize("tags", [ETAG, f'"b", {ETAG}', f"W/{ETAG}", "*", f'W/"b" , {ETAG},'])
def test_a_client_that_has_the_file_is_told_so(tags: str) -> None:
    assert plan(If_None_Match=tags) == Plan(
        304, {hdrs.ETAG: ETAG, "Cache-Control": "private, max-age=31536000, immutable", "Last-Modified": DATE}
    )


@pytest.mark.parametrize(("since", "status"), [(BEFORE, 200), (DATE, 304), (AFTER, 304), ("nonsense", 200)])
def test_a_client_that_has_it_since_then_is_told_so(since: str, status: int) -> None:
    assert plan(If_Modified_Since=since).status == status


def test_tags_count_before_dates() -> None:
    assert plan(If_None_Match='"b"', If_Modified_Since=AFTER).status == 200
    assert plan(If_Match=ETAG, If_Unmodified_Since=BEFORE).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": ETAG}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"b"'}, 412),
        ({"If-Match": f"W/{ETAG}"}, 412),
        ({"If-Unmodified-Since": DATE}, 200),
        ({"If-Unmodified-Since": BEFORE}, 412),
    ],
)
def test_a_client_that_wants_only_what_it_knows_gets_nothing_else(headers: dict[str, str], status: int) -> None:
    assert plan_response("GET", CIMultiDict(headers), FILE).status == status


header_texts = st.text(st.characters(codec="latin-1"), max_size=40) | st.from_regex(
    r'(W/)?"[ab]*"(,"[a-c]*")?|.{0,8}GMT'
)


@given(
    headers=st.dictionaries(
        st.sampled_from(["If-Match", "If-None-Match", "If-Modified-Since", "If-Range"]), header_texts
    )
)
def test_no_condition_breaks_the_answer(headers: dict[str, str]) -> None:
    assert plan_response("GET", CIMultiDict(headers), FILE).status in (200, 304, 412)
