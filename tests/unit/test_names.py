"""Names, versions and file names."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from shared.errors import ValidationFailed
from shared.names import (
    ArchiveFormat,
    DistributionKind,
    DistributionName,
    NormalizedName,
    canonical_version,
    check_package_name,
    check_version,
    normalize_name,
    parse_distribution_file_name,
    sanitize_file_name,
)

_NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)
_VERSIONS = st.from_regex(
    r"([0-9]!)?[0-9]{1,4}(\.[0-9]{1,4}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?(\+[a-z0-9]{1,5})?",
    fullmatch=True,
)


def test_spellings_of_a_name_are_one() -> None:
    assert {normalize_name(name) for name in ("Foo.Bar", "foo-bar", "FOO__bar", "foo.-_bar")} == {"foo-bar"}


@given(_NAMES)
def test_a_normalized_name_stays_as_it_is(name: str) -> None:
    once = normalize_name(name)
    assert normalize_name(once) == once
    assert not set(once) & set("._ABC")


@pytest.mark.parametrize("name", ["a", "foo", "Foo_bar.baz-1", "@scope/foo", "a+b/c", "foo@", "foo/", "_", "-", "..."])
def test_gitlabs_names_are_taken(name: str) -> None:
    check_package_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "foo bar",
        "foo+",
        "a+b",
        "foo!",
        ".$/@!^*",
        "@",
        "foo\n",
        "\nfoo",
        "fòo",
        "foo@@",
        "/",
        "a\0b",
        "\u017f",
    ],
)
def test_other_names_are_invalid(name: str) -> None:
    with pytest.raises(ValidationFailed, match=r"\AName is invalid\Z"):
        check_package_name(name)


@pytest.mark.parametrize("name", ["a" * 254 + "!", "a/" * 127 + "!", "@" + "/" * 253 + "+", "a@" * 127 + "+"])
def test_a_name_is_judged_at_once(name: str) -> None:
    started = time.process_time()
    with pytest.raises(ValidationFailed):
        check_package_name(name)
    assert time.process_time() - started < 0.2


def test_names_and_versions_have_at_most_255_characters() -> None:
    check_package_name("a" * 255)
    check_version("1" * 255)
    with pytest.raises(ValidationFailed, match=r"Name is too long \(maximum is 255 characters\)"):
        check_package_name("a" * 256)
    with pytest.raises(ValidationFailed, match=r"Version is too long \(maximum is 255 characters\)"):
        check_version("1" * 256)


@pytest.mark.parametrize(
    "version",
    [
        "1",
        "v1.0",
        "V1.0",
        "2!1.0",
        "1.0a1",
        "1.0-alpha.1",
        "1.0RC",
        "1.0-1",
        "1.0.post2",
        "1.0-rev3",
        "1.0.dev",
        "1.0+ab.C",
    ],
)
def test_versions_of_pep_440_are_taken(version: str) -> None:
    check_version(version)
    assert canonical_version(version) == canonical_version(str(Version(version)))


@pytest.mark.parametrize(
    "version",
    [
        "",
        "one",
        "1.0 ",
        " 1.0",
        "1.0\n",
        "1..0",
        "1.0+",
        "1.0+a!",
        "1.0/2",
        "../1.0",
        "1.0po\u017ft1",
        "1.0-x",
        "\u0661.\u0660",
    ],
)
def test_other_versions_are_invalid(version: str) -> None:
    with pytest.raises(ValidationFailed, match=r"\AVersion is invalid\Z"):
        check_version(version)


@given(_VERSIONS)
def test_every_version_of_pep_440_is_taken(version: str) -> None:
    check_version(version)
    assert canonical_version(canonical_version(version)) == canonical_version(version)


def test_equal_versions_are_one_and_others_keep_their_text() -> None:
    assert canonical_version("1.0.0") == canonical_version("v1") == "1"
    assert canonical_version("1.0-ALPHA1") == "1a1"
    assert canonical_version("not.a.version") == "not.a.version"


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("pkg-1.0.tar.gz", "pkg-1.0.tar.gz"),
        ("pkg-1!2.0.tar.gz", "pkg-1_2.0.tar.gz"),
        ("../../etc/passwd", "passwd"),
        ("C:\\dist\\pkg-1.0.zip", "pkg-1.0.zip"),
        ("dist/", "dist"),
        ("/", "_"),
        ("\\", "_"),
        ("", "unnamed"),
        (".", "_."),
        ("...", "_..."),
        ("..", "_.."),
        ("a b\n\0", "a_b__"),
        ("pkg-1.0+local.whl", "pkg-1.0+local.whl"),
        ("p\u00e4ckchen-\u0661.tar.gz", "p\u00e4ckchen-\u0661.tar.gz"),
        ("nai\u0308ve", "nai\u0308ve"),
        ("½\N{ROMAN NUMERAL TWO}x", "__x"),
        ("\ud800", "_"),
    ],
)
def test_file_names_are_sanitised_as_gitlab_does(raw: str, stored: str) -> None:
    assert sanitize_file_name(raw) == stored


@given(st.text(max_size=60))
@example("/..")
@example("..\\.")
def test_a_sanitised_file_name_is_one_harmless_path_component(raw: str) -> None:
    name = sanitize_file_name(raw)
    assert name
    assert name.strip(".")
    assert not set(name) & set("/\\\0 \n\"'<>%&?#:")
    assert sanitize_file_name(name) == name


def test_a_file_name_has_at_most_255_bytes() -> None:
    assert len(sanitize_file_name("a" * 255)) == 255
    for long in ("a" * 256, "ä" * 128):
        with pytest.raises(ValidationFailed, match=r"File name is too long \(maximum is 255 bytes\)"):
            sanitize_file_name(long)


def test_a_wheels_file_name_says_what_it_is() -> None:
    assert parse_distribution_file_name("Foo.Bar_baz-1.0.0-2-py2.py3-none-any.whl") == DistributionName(
        name=NormalizedName("foo-bar-baz"),
        version="1.0.0",
        canonical_version="1",
        kind=DistributionKind.WHEEL,
        archive_format=ArchiveFormat.ZIP,
        python_tag="py2.py3",
    )


@pytest.mark.parametrize(
    ("file_name", "name", "version", "archive_format"),
    [
        ("zope.interface-5.0.tar.gz", "zope-interface", "5.0", ArchiveFormat.TAR_GZ),
        ("zope.interface-5.0.zip", "zope-interface", "5.0", ArchiveFormat.ZIP),
        ("antlr4-python3-runtime-4.9.3.tar.gz", "antlr4-python3-runtime", "4.9.3", ArchiveFormat.TAR_GZ),
        ("PyYAML-5.1b1.tar.gz", "pyyaml", "5.1b1", ArchiveFormat.TAR_GZ),
    ],
)
def test_an_sdists_file_name_says_what_it_is(
    file_name: str, name: str, version: str, archive_format: ArchiveFormat
) -> None:
    named = parse_distribution_file_name(file_name)
    assert (named.name, named.version, named.archive_format) == (name, version, archive_format)
    assert (named.kind, named.python_tag) == (DistributionKind.SDIST, "source")


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        ("foo-1.0.tar.bz2", "File name is that of no wheel or sdist: it must end in .whl, .tar.gz or .zip"),
        ("foo-1.0.WHL", "File name is that of no wheel or sdist: it must end in .whl, .tar.gz or .zip"),
        (
            "foo-1.0.whl",
            "File name is not that of a wheel (name-version-python-abi-platform.whl): wrong number of parts",
        ),
        (
            "foo-one-py3-none-any.whl",
            "File name is not that of a wheel (name-version-python-abi-platform.whl): invalid version",
        ),
        ("foo.tar.gz", "File name is not that of an sdist (name-version.tar.gz): no version"),
        ("foo-1.0-beta.tar.gz", "File name is not that of an sdist (name-version.tar.gz): invalid version"),
        ("foo bar-1.0.tar.gz", "File name is invalid: it may hold ASCII letters, digits and . _ - + ! only"),
        ("foo- 1.0.tar.gz", "File name is invalid: it may hold ASCII letters, digits and . _ - + ! only"),
        ("../foo-1.0.tar.gz", "File name is invalid: it may hold ASCII letters, digits and . _ - + ! only"),
        ("föö-1.0-py3-none-any.whl", "File name is invalid: it may hold ASCII letters, digits and . _ - + ! only"),
        ("foo-1.0.tar.gz\n", "File name is that of no wheel or sdist: it must end in .whl, .tar.gz or .zip"),
        ("_foo-1.0.tar.gz", "File name is invalid: the name in it must begin and end with a letter or digit"),
        (
            f"foo-1.0-{'a.' * 40}a-{'b.' * 40}b-any.whl",
            "File name is invalid: it stands for too many tags",
        ),
        ("a" * 300 + "-1.0.tar.gz", "File name is too long (maximum is 255 bytes)"),
    ],
)
def test_other_file_names_are_refused_with_a_reason(file_name: str, reason: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        parse_distribution_file_name(file_name)
    assert refusal.value.reason == reason


@given(_NAMES, _VERSIONS)
@settings(deadline=None)
def test_the_names_that_build_tools_give_are_understood(name: str, version: str) -> None:
    escaped = normalize_name(name).replace("-", "_")
    for file_name in (f"{escaped}-{version}.tar.gz", f"{name}-{version}.zip", f"{escaped}-{version}-py3-none-any.whl"):
        named = parse_distribution_file_name(file_name)
        assert (named.name, named.canonical_version) == (normalize_name(name), canonical_version(version))


@given(st.text(max_size=40), st.sampled_from([".whl", ".tar.gz", ".zip", "-1.0.tar.gz", "-1.0-py3-none-any.whl"]))
@settings(deadline=None)
def test_no_file_name_surprises_the_parser(stem: str, ending: str) -> None:
    try:
        named = parse_distribution_file_name(stem + ending)
    except ValidationFailed:
        return
    assert named.name
    assert canonical_version(named.version) == named.canonical_version
