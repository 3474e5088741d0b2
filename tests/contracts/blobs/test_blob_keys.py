"""Keys carry their day and their instant, in one form and no other."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.blob_keys import check_blob_key, new_blob_key, started_at

_NOON = datetime(2026, 3, 4, 12, 0, 0, 123_456, tzinfo=UTC)
_instants = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001  # Hypothesis takes naive bounds.
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))]),
).filter(lambda at: at < datetime(9999, 12, 30, tzinfo=UTC))


@given(now=_instants)
def test_a_key_tells_the_millisecond_at_which_its_upload_began(now: datetime) -> None:
    key = new_blob_key(now)

    assert check_blob_key(key) == key
    assert started_at(key).utcoffset() == timedelta(0)
    assert timedelta(0) <= now - started_at(key) < timedelta(milliseconds=1)
    assert key[:11] == now.astimezone(UTC).strftime("%Y/%m/%d/")


@given(now=_instants)
def test_the_last_part_of_a_key_is_a_version_7_uuid(now: datetime) -> None:
    uuid = UUID(new_blob_key(now)[11:])

    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")


@given(now=_instants, later=st.integers(1, 10**12))
def test_keys_of_later_microseconds_sort_later(now: datetime, later: int) -> None:
    after = now + timedelta(microseconds=later)
    if after >= datetime(9999, 12, 30, tzinfo=UTC):
        after, now = now, now - timedelta(microseconds=later)

    assert new_blob_key(now) < new_blob_key(after)


def test_keys_of_the_same_instant_differ() -> None:
    assert len({new_blob_key(_NOON) for _ in range(10_000)}) == 10_000


def test_a_key_is_made_of_the_utc_day() -> None:
    east = datetime(2026, 3, 5, 1, 0, tzinfo=timezone(timedelta(hours=14)))

    assert new_blob_key(east).startswith("2026/03/04/")


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 3, 4),  # noqa: DTZ001  # A naive time is what is refused.
        datetime(1969, 12, 31, tzinfo=UTC),
    ],
)
def test_a_time_without_zone_or_before_1970_is_refused(now: datetime) -> None:
    with pytest.raises(ValueError, match="start of an upload"):
        new_blob_key(now)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "2026/03/04/",
        "2026/03/04/019cb8a0-0000-7000-8000-00000000000",
        "2026/03/04/019cb8a0-0000-7000-8000-0000000000000",
        "2026/03/04/019cb8a0-0000-7000-c000-000000000000",
        "2026/03/04/019cb8a0-0000-6000-8000-000000000000",
        "2026-03-04/019cb8a0-0000-7000-8000-000000000000",
        "/2026/03/04/019cb8a0-0000-7000-8000-000000000000",
        "2026/03/04/../019cb8a0-0000-7000-8000-000000000000",
        "\uff12026/03/04/019cb8a0-0000-7000-8000-000000000000",
        "2026/03/04/ffffffff-ffff-7000-8000-000000000000",
        pytest.param(new_blob_key(_NOON) + "\n", id="line break"),
        pytest.param(new_blob_key(_NOON).upper(), id="capitals"),
        pytest.param(new_blob_key(_NOON).replace("2026/03/04", "2026/03/05"), id="another day"),
    ],
)
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="blob key"):
        check_blob_key(key)
    with pytest.raises(ValueError, match="blob key"):
        started_at(key)


@given(key=st.text(max_size=60))
def test_whatever_is_refused_is_refused_with_value_error(key: str) -> None:
    with pytest.raises(ValueError, match="blob key"):
        check_blob_key(key)
