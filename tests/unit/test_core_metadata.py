"""Core metadata as it is and as it should not be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.distributions.core_metadata import read_core_metadata
from shared.errors import DistributionRejected
from tests.distributions import core_metadata


def _metadata(*lines: str, body: bytes = b"") -> bytes:
    return "\n".join([*lines, "", ""]).encode() + body


_GOOD = ("Metadata-Version: 2.1", "Name: Foo.Bar", "Version: 1.0")


def test_the_fields_that_count_are_read_and_the_bytes_kept() -> None:
    raw = core_metadata("Foo.Bar", "1.0.0", requires_python=">=3.8, <4")
    read = read_core_metadata(raw)
    assert (read.raw, read.name, read.version, read.requires_python) == (raw, "Foo.Bar", "1.0.0", ">=3.8, <4")


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5"])
def test_every_metadata_version_that_was_ever_in_use_is_taken(version: str) -> None:
    assert read_core_metadata(_metadata(f"Metadata-Version: {version}", *_GOOD[1:])).name == "Foo.Bar"


@pytest.mark.parametrize("value", ["", "UNKNOWN"])
def test_a_field_that_says_nothing_is_absent(value: str) -> None:
    assert read_core_metadata(_metadata(*_GOOD, f"Requires-Python: {value}")).requires_python is None


def test_windows_line_ends_and_folded_fields_are_taken() -> None:
    raw = b"Metadata-Version: 1.2\r\nName: foo\r\nVersion: 1.0\r\nRequires-Python: >=3.8,\r\n  <4\r\n\r\nText.\r\n"
    assert read_core_metadata(raw).requires_python == ">=3.8, <4"


def test_fields_that_nobody_acts_on_may_be_malformed() -> None:
    raw = _metadata(*_GOOD, "Home-Page: a", "Home-Page: b", "Nonsense: yes", "Author: Jos\u00e9")
    raw = raw.replace(b"Author: Jos\xc3\xa9", b"Author: Jos\xe9") + b"latin \xe9 description"
    assert read_core_metadata(raw).version == "1.0"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), "Metadata-Version '' is not supported"),
        (_GOOD[1:], "Metadata-Version '' is not supported"),
        (("Metadata-Version: 3.0", *_GOOD[1:]), "Metadata-Version '3.0' is not supported"),
        (("", *_GOOD), "Metadata-Version '' is not supported"),
        ((_GOOD[0], _GOOD[2]), "metadata has no Name"),
        ((_GOOD[0], "Name: UNKNOWN", _GOOD[2]), "metadata has no Name"),
        (_GOOD[:2], "metadata has no Version"),
        ((*_GOOD, "Name: other"), "metadata gives Name more than once, or not in UTF-8"),
        ((*_GOOD, "version: 1.0"), "metadata gives Version more than once, or not in UTF-8"),
        (
            (*_GOOD, "Requires-Python: >=3", "Requires-Python: >=2"),
            "metadata gives Requires-Python more than once, or not in UTF-8",
        ),
        ((_GOOD[0], "Name: foo bar", _GOOD[2]), "Name 'foo bar' in the metadata is invalid"),
        ((_GOOD[0], "Name: f\u00f6\u00f6", _GOOD[2]), "Name 'f\\xf6\\xf6' in the metadata is invalid"),
        ((*_GOOD[:2], "Version: one"), "Version 'one' in the metadata is invalid"),
        ((*_GOOD[:2], f"Version: {'1' * 256}"), "Version in the metadata is too long or holds control characters"),
        ((*_GOOD, "Requires-Python: >=3\0"), "Requires-Python in the metadata is too long or holds control characters"),
    ],
)
def test_metadata_that_cannot_be_relied_on_is_refused(lines: tuple[str, ...], reason: str) -> None:
    with pytest.raises(DistributionRejected) as refusal:
        read_core_metadata(_metadata(*lines))
    assert refusal.value.reason == reason


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(DistributionRejected, match=r"\Ametadata gives Name more than once, or not in UTF-8\Z"):
        read_core_metadata(b"Metadata-Version: 2.1\nName: f\xf6\nVersion: 1.0\n\n")


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_no_bytes_surprise_the_reader(raw: bytes) -> None:
    for attempt in (raw, b"Metadata-Version: 2.1\nName: foo\nVersion: 1\n" + raw):
        try:
            assert read_core_metadata(attempt).raw == attempt
        except DistributionRejected:
            continue
