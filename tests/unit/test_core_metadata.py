"""Core metadata as it is and as it should not be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.distributions import core_metadata as reading
from shared.errors import DistributionRejected
from shared.metadata_headers import MAX_FIELDS, MAX_NAMES
from shared.models import CoreMetadata
from tests.distributions import core_metadata


def read_core_metadata(raw: bytes, *, license_files: tuple[str, ...] = ()) -> CoreMetadata:
    return reading.read_core_metadata(raw, has_license_file=license_files.__contains__)


def _metadata(*lines: str, body: bytes = b"") -> bytes:
    return "\n".join([*lines, "", ""]).encode() + body


_GOOD = ("Metadata-Version: 2.1", "Name: Foo.Bar", "Version: 1.0")


def test_the_fields_that_count_are_read_and_the_bytes_kept() -> None:
    raw = core_metadata("Foo.Bar", "1.0.0", requires_python=">=3.8, <4")
    read = read_core_metadata(raw)
    assert (read.raw, read.name, read.version, read.requires_python) == (raw, "Foo.Bar", "1.0.0", ">=3.8, <4")
    assert read.flaw is None


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5"])
def test_every_metadata_version_that_was_ever_a_standard_is_taken(version: str) -> None:
    read = read_core_metadata(_metadata(f"Metadata-Version: {version}", *_GOOD[1:]))
    assert (read.name, read.flaw) == ("Foo.Bar", None)


def test_version_2_0_was_never_a_standard_and_the_flaw_says_what_to_do() -> None:
    read = read_core_metadata(_metadata("Metadata-Version: 2.0", *_GOOD[1:], "Requires-Python: >=3"))
    assert (read.name, read.requires_python) == ("Foo.Bar", ">=3")
    assert read.flaw == (
        "metadata is invalid: Metadata-Version 2.0 was never a standard; "
        "build the distribution anew with a current tool, or set LARDER_UPLOAD_CHECKS=off"
    )


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
        (("Metadata-Version: 2.6", *_GOOD[1:]), "Metadata-Version '2.6' is not supported"),
        (
            (_GOOD[0], "Version: one", "Requires-Dist: !"),
            "metadata has no Name; Version 'one' in the metadata is invalid; '!' is invalid for 'requires-dist'",
        ),
    ],
)
def test_metadata_that_cannot_be_relied_on_is_refused(lines: tuple[str, ...], reason: str) -> None:
    with pytest.raises(DistributionRejected) as refusal:
        read_core_metadata(_metadata(*lines))
    assert refusal.value.reason == reason


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(DistributionRejected, match=r"\Ametadata gives Name more than once, or not in UTF-8\Z"):
        read_core_metadata(b"Metadata-Version: 2.1\nName: f\xf6\nVersion: 1.0\n\n")


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        ("Requires-Dist: not a requirement", "'not a requirement' is invalid for 'requires-dist'"),
        ("Requires-Dist: a;" + "(" * 1500, "'requires-dist' is nested too deeply"),
        ("Requires-Dist: a" + ">=1," * 500, "'requires-dist' has a value of more than 2000 characters"),
        ("Requires-Python: >=3.4.*", "'>=3.4.*' is invalid for 'requires-python'"),
        ("Provides-Extra: -a", "'-a' is invalid for 'provides-extra'"),
        ("Summary: one\x85two", "'summary' must be a single line"),
        ("Dynamic: Name", "'name' is not allowed as a dynamic field"),
        ("Dynamic: Nonsense", "'nonsense' is not a valid dynamic field"),
        ("License-Expression: WTF", "'WTF' is invalid for 'license-expression'"),
        ("Import-Name: class", "'class' is invalid for 'import-name'; 'class' is a keyword"),
        ("License-File: ../LICENSE", "'../LICENSE' is invalid for 'license-file', parent directory indicators"),
        ("Description-Content-Type: text/html", "'description-content-type' must be one of"),
        ("Description-Content-Type: text/plain; charset=latin1", "can only specify the UTF-8 charset, not 'latin1'"),
    ],
)
def test_a_rule_of_the_standard_that_is_broken_is_told_with_its_field(line: str, flaw: str) -> None:
    read = read_core_metadata(_metadata("Metadata-Version: 2.5", *_GOOD[1:], line))
    assert read.flaw
    assert read.flaw.startswith("metadata is invalid: ")
    assert flaw in read.flaw


@pytest.mark.parametrize(
    "lines",
    [
        ("Metadata-Version: 1.0", "Classifier: Topic :: Software Development", "Download-URL: https://x.example"),
        ("Metadata-Version: 2.1", "License-Expression: WTF", "License-File: ../../LICENSE", "License-File: UNKNOWN"),
        ("Metadata-Version: 2.1", "Dynamic: Nonsense", "Import-Name: class"),
        ("Metadata-Version: 2.4", "Import-Namespace: class"),
        ("Metadata-Version: 2.5", "License-Expression: UNKNOWN", "Description-Content-Type:", "Summary: UNKNOWN"),
        ("Metadata-Version: 2.5", "Requires-Dist: a;", "  python_version < '3'", "Summary: folded", "\tonce"),
        ("Metadata-Version: 2.5", "Import-Name:", "Nonsense: yes", "Classifier: Private :: Do Not Upload"),
        ("Metadata-Version: 2.5", "Requires-Dist: a @ https://x.example/a.whl", "Author-email: nobody"),
    ],
)
def test_what_only_a_newer_version_or_the_public_index_alone_demands_is_no_flaw(lines: tuple[str, ...]) -> None:
    assert read_core_metadata(_metadata(*lines, *_GOOD[1:])).flaw is None


def test_a_license_file_must_be_in_the_archive_since_version_2_4() -> None:
    files = ("License-File: LICENSE", "License-File: licenses/b", "License-File: licenses/b")
    read = read_core_metadata(_metadata("Metadata-Version: 2.4", *_GOOD[1:], *files), license_files=("LICENSE",))
    assert read.flaw == "metadata is invalid: License-File 'licenses/b' is not in the archive"
    assert read_core_metadata(_metadata("Metadata-Version: 2.3", *_GOOD[1:], *files)).flaw is None


def test_a_flaw_names_every_field_and_is_of_bounded_length() -> None:
    fields = ["Summary: a\x0bb", "Dynamic: x", "Import-Name: 1", "License-Expression: x", "Provides-Extra: -"]
    fields += [f"Requires-Dist: {'!' * 1900}", f"Requires-Python: {'x' * 200}"]
    files = [f"License-File: {number}{'x' * 1900}" for number in range(20)]
    flaw = read_core_metadata(_metadata("Metadata-Version: 2.5", *_GOOD[1:], *fields, *files)).flaw
    assert flaw
    assert flaw.endswith("; and 19 more")
    assert flaw.isascii()
    assert flaw.isprintable()
    assert len(flaw) < 2_000
    for field in ("summary", "dynamic", "import-name", "license-expression", "provides-extra", "requires-dist"):
        assert f"'{field}'" in flaw
    assert "'requires-python'" in flaw


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (b"Classifier: a\n" * 70_000, f"metadata has more than {MAX_FIELDS} fields"),
        (b"Requires-Dist: a\n" * 60_000, f"metadata has more than {MAX_FIELDS} fields"),
        (b"".join(b"h%d:\n" % number for number in range(MAX_NAMES)), "metadata has fields of more than 100 names"),
        (b":\r" * 400_000, f"metadata has more than {MAX_FIELDS} fields"),
    ],
)
def test_metadata_of_more_fields_than_anybody_needs_is_not_parsed(fields: bytes, problem: str) -> None:
    with pytest.raises(DistributionRejected) as refusal:
        read_core_metadata("\n".join([*_GOOD, ""]).encode() + fields)
    assert refusal.value.reason == problem


def test_metadata_that_would_take_long_to_check_is_not_checked() -> None:
    lines = ["Requires-Dist: a" + ">=1," * 100] * 1000
    flaw = "metadata is invalid: more than 262144 characters are there to be checked"
    assert read_core_metadata(_metadata(*_GOOD, *lines)).flaw == flaw


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Type: message/rfc822\n\n" * 20_000,
        b"Content-Type: message/rfc822\n!\n" * 20_000,
        b'Content-Type: multipart/mixed; boundary="a"\n\n' + b"--a\n\n" * 20_000,
        b"Content-Type: multipart/mixed" + b';a="' * 200_000 + b"\n\n",
        b"MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n!!!!",
    ],
)
def test_nothing_makes_an_email_of_several_parts_of_it(headers: bytes) -> None:
    read = read_core_metadata("\n".join([*_GOOD, ""]).encode() + headers)
    assert (read.name, read.flaw) == ("Foo.Bar", None)


_FIELDS = ["Requires-Dist", "License-Expression", "Description-Content-Type", "Provides-Extra", "Dynamic", "Summary"]
_FIELDS += ["License-File", "Import-Name", "Requires-Python", "Project-URL", "Keywords", "Content-Type", "Description"]


@given(
    st.lists(
        st.tuples(st.sampled_from(_FIELDS), st.text("\"'();,[]<=>!~*|\\/%@.-_ \t\r\na0A\x0b\xe9\ud800", max_size=40))
    )
)
@settings(deadline=None)
def test_no_values_surprise_the_reader(fields: list[tuple[str, str]]) -> None:
    lines = "\n".join(["Metadata-Version: 2.5", *_GOOD[1:], *(f"{name}: {value}" for name, value in fields), "", ""])
    try:
        flaw = read_core_metadata(lines.encode("utf-8", "surrogatepass")).flaw
    except DistributionRejected as rejection:
        flaw = rejection.reason
    assert flaw is None or (flaw.isascii() and flaw.isprintable() and len(flaw) < 2_000)


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_no_bytes_surprise_the_reader(raw: bytes) -> None:
    for attempt in (raw, b"Metadata-Version: 2.1\nName: foo\nVersion: 1\n" + raw):
        try:
            assert read_core_metadata(attempt).raw == attempt
        except DistributionRejected:
            continue
