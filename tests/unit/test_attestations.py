import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.attestations import MAX_BYTES, check_attestations, encode_attestations, encode_provenance
from shared.errors import ValidationFailed
from tests.attestations import PUBLISH, SLSA, attestation, encoded, statement

NAME = "a_package-1.0-py3-none-any.whl"
SHA256 = "a" * 64
GOOD = statement(NAME, SHA256)


def check(*attestations: Any) -> tuple[Any, ...]:
    return check_attestations(json.dumps(attestations), file_name=NAME, sha256=SHA256)


@pytest.mark.parametrize(
    "subject", [NAME, "A.Package-1.0-py3-none-any.whl", "a_package-1-py3-none-any.whl"], ids=["same", "name", "version"]
)
def test_an_attestation_about_the_file_is_taken_however_its_name_is_spelt(subject: str) -> None:
    good = attestation(statement(subject, SHA256))
    assert check(good) == (good,)


def test_one_of_each_type_is_taken_and_two_of_one_are_not() -> None:
    publish, slsa = (attestation(statement(NAME, SHA256, predicate_type=kind)) for kind in (PUBLISH, SLSA))
    assert check(publish, slsa) == (publish, slsa)
    with pytest.raises(ValidationFailed, match="two of the same"):
        check(publish, publish)


def test_none_are_taken_too() -> None:
    assert check_attestations("[]", file_name=NAME, sha256=SHA256) == ()


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (attestation(GOOD, version=2), "version is not 1"),
        (attestation(GOOD, version=True), "version is missing or malformed"),
        (attestation(GOOD, verification_material=None), "verification_material is missing"),
        (attestation(GOOD, verification_material={"certificate": "!", "transparency_entries": [1]}), "not in base64"),
        (attestation(GOOD, verification_material={"certificate": "", "transparency_entries": [1]}), "is empty"),
        (
            attestation(GOOD, verification_material={"certificate": encoded(b"c"), "transparency_entries": []}),
            "no transparency_entries",
        ),
        (attestation(GOOD, envelope={"statement": encoded(b"{}")}), "signature is missing"),
        (attestation(GOOD, envelope={"statement": encoded(b"\xff"), "signature": encoded(b"s")}), "not in UTF-8"),
        (attestation(GOOD, envelope={"statement": encoded(b"{"), "signature": encoded(b"s")}), "no JSON"),
        (attestation([]), "_type is missing"),
        (attestation(statement(NAME, SHA256, _type="another")), "none of in-toto"),
        (attestation(statement(NAME, SHA256, subject=[])), "not just one subject"),
        (attestation(statement(NAME, SHA256, subject=GOOD["subject"] * 2)), "not just one subject"),
        (attestation(statement("b_package-1.0-py3-none-any.whl", SHA256)), f"is not about {NAME}"),
        (attestation(statement("a_package-1.0.tar.gz", SHA256)), f"is not about {NAME}"),
        (attestation(statement(NAME, "b" * 64)), "digest does not match"),
        (attestation(statement(NAME, SHA256, predicate_type="https://example.com/v1")), "type is not known"),
        (None, "version is missing"),
        ("text", "version is missing"),
    ],
    ids=str,
)
def test_what_is_malformed_or_about_something_else_is_refused(broken: Any, reason: str) -> None:
    with pytest.raises(ValidationFailed, match=reason):
        check(broken)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "no JSON array"),
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        (json.dumps([attestation(GOOD)] * 9), "more than 8"),
        (" " * (MAX_BYTES + 1), "larger than 512 KiB"),
    ],
    ids=["object", "nothing", "deep", "many", "long"],
)
def test_a_field_that_holds_no_list_of_them_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationFailed, match=reason):
        check_attestations(text, file_name=NAME, sha256=SHA256)


def test_the_provenance_holds_them_as_they_were_sent() -> None:
    good = attestation(GOOD, extra={"kept": "ä"})
    stored = encode_attestations(check(good))
    assert stored == json.dumps([good], ensure_ascii=False, separators=(",", ":")).encode()
    assert json.loads(encode_provenance(stored)) == {
        "version": 1,
        "attestation_bundles": [{"publisher": {"kind": "Larder", "claims": None}, "attestations": [good]}],
    }


def test_what_is_stored_is_what_was_checked() -> None:
    """Of a member that is there twice the last counts, for the check as for readers."""
    good = json.dumps(attestation(GOOD))
    text = f'[ {{"version": 2, {good[1:]} ]'
    stored = encode_attestations(check_attestations(text, file_name=NAME, sha256=SHA256))
    assert stored == f"[{good}]".replace(": ", ":").replace(", ", ",").encode()


def test_without_any_nothing_is_stored() -> None:
    assert encode_attestations(()) is None


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", r'"\ud800"'])
def test_what_only_some_readers_take_for_json_is_refused(text: str) -> None:
    sent = f'[{json.dumps(attestation(GOOD))[:-1]}, "extra": {text}}}]'
    with pytest.raises(ValidationFailed, match="no JSON"):
        encode_attestations(check_attestations(sent, file_name=NAME, sha256=SHA256))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(told=JSON, changes=st.dictionaries(st.sampled_from(["version", "envelope", "verification_material"]), JSON))
def test_nothing_else_than_a_refusal_comes_of_nonsense(told: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationFailed):
        check(attestation(told, **changes))
