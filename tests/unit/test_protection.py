"""What protection rules may say, which names they are about, and whom they hold back."""

import re
import time
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.access import may_administer_packages
from shared.models import (
    AccessLevel,
    ProjectId,
    RegistryAccess,
    TokenId,
)
from shared.principals import Anonymous, DeployToken, Principal
from shared.protection import (
    ProtectedPackageType,
    ProtectionLevel,
    ProtectionRule,
    ProtectionRuleId,
    ProtectionTerms,
    is_about,
    is_delete_blocked,
    is_push_blocked,
    matches_glob,
    problems_of,
)
from tests.access_samples import NOW, make_job, make_project, make_signed_in

_PYPI, _NPM, _TERRAFORM = ProtectedPackageType.PYPI, ProtectedPackageType.NPM, ProtectedPackageType.TERRAFORM_MODULE
_MAINTAINER, _OWNER, _ADMIN = ProtectionLevel


def terms(
    pattern: str = "pkg",
    package_type: ProtectedPackageType = _PYPI,
    *,
    push: ProtectionLevel | None = _MAINTAINER,
    delete: ProtectionLevel | None = None,
) -> ProtectionTerms:
    return ProtectionTerms(
        package_name_pattern=pattern,
        package_type=package_type,
        minimum_access_level_for_push=push,
        minimum_access_level_for_delete=delete,
    )


def rule(said: ProtectionTerms) -> ProtectionRule:
    return ProtectionRule(id=ProtectionRuleId(1), project_id=ProjectId(1), terms=said, created_at=NOW, updated_at=NOW)


DEPLOY_TOKEN = DeployToken(
    token_id=TokenId(1), project_id=ProjectId(1), namespace_id=None, scopes=("write_package_registry",)
)


def fits_by_definition(pattern: str, text: str) -> bool:
    """Say what `matches_glob` must say: by trying everything, each pair of remainders once."""

    @cache
    def fits(at: int, position: int) -> bool:
        if at == len(pattern):
            return position == len(text)
        if pattern[at] == "*":
            return fits(at + 1, position) or (position < len(text) and fits(at, position + 1))
        return position < len(text) and pattern[at] == text[position] and fits(at + 1, position + 1)

    return fits(0, 0)


@given(pattern=st.text("ab*", max_size=12), text=st.text("ab*", max_size=12))
@example(pattern="a*a", text="a")
@example(pattern="ab*ba", text="aba")
@example(pattern="*ab*ab", text="ab")
@example(pattern="**", text="")
def test_a_glob_fits_what_its_definition_says(pattern: str, text: str) -> None:
    assert matches_glob(pattern, text) is fits_by_definition(pattern, text)


@given(parts=st.lists(st.text("ab-", max_size=4), min_size=1), filled=st.lists(st.text("ab-", max_size=4)))
def test_whatever_stands_for_the_wildcards_the_pattern_fits(parts: list[str], filled: list[str]) -> None:
    text = parts[0]
    for number, part in enumerate(parts[1:]):
        text += (filled[number] if number < len(filled) else "") + part
    assert matches_glob("*".join(parts), text)


@given(name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), data=st.data())
def test_for_pypi_all_spellings_of_a_name_are_one(name: str, data: st.DataObject) -> None:
    def spelt_otherwise(text: str) -> str:
        text = re.sub("[-_.]+", lambda _: data.draw(st.sampled_from(["-", "_", ".", "--", "._-"])), text)
        return data.draw(st.sampled_from([text, text.upper(), text.lower()]))

    assert is_about(terms(spelt_otherwise(name)), spelt_otherwise(name))
    assert is_about(terms(spelt_otherwise(name) + "*"), spelt_otherwise(name) + "x")


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "anything", True),
        ("my-*", "My_Package", True),
        ("my_*", "my-package", True),
        ("MY.*.x", "my--a-b__X", True),
        ("my-*", "mypackage", False),
        ("my-*", "not-my-package", False),
        ("*-internal", "pkg_internal", True),
        ("*-internal", "pkg_internal2", False),
        ("pkg", "pkg2", False),
        ("pkg", "pk", False),
        ("pkg*", "pkg", True),
        ("a*a", "a", False),
        ("p%g", "pkg", False),
        ("p.g", "pkg", False),
        ("*", "", False),
        ("*", "x" * 256, False),
    ],
)
def test_a_pattern_is_about_whole_names(pattern: str, name: str, *, fits: bool) -> None:
    assert is_about(terms(pattern), name) is fits


def test_for_other_types_only_the_case_does_not_matter() -> None:
    assert is_about(terms("@Scope/my_*", _NPM), "@scope/MY_package")
    assert not is_about(terms("@scope/my_*", _NPM), "@scope/my-package")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 127, "a" * 255),
        ("*a" * 127 + "b", "a" * 255),
        ("*aab" * 63 + "*", "aa" * 127),
        ("*" * 255, "a" * 255),
        ("*" + "a" * 126 + "b*" + "a" * 126, "a" * 255),
        ("a/" * 127 + "!", "a"),
        ("@" + "." * 253 + "!", "a"),
    ],
    ids=range(7),
)
def test_no_pattern_takes_long(pattern: str, name: str) -> None:
    began_at = time.process_time()
    for _ in range(200):
        is_about(terms(pattern), name)
        problems_of(terms(pattern))
    assert time.process_time() - began_at < 1, "a fifth of the rules that a project may have"


@pytest.mark.parametrize("minimum", ProtectionLevel)
@pytest.mark.parametrize("level", [AccessLevel.DEVELOPER, AccessLevel.MAINTAINER, AccessLevel.OWNER])
def test_who_is_below_the_minimum_is_blocked(minimum: ProtectionLevel, level: AccessLevel) -> None:
    number = {_MAINTAINER: 40, _OWNER: 50, _ADMIN: 60}[minimum]
    for said, blocked in (
        (terms(push=minimum), is_push_blocked),
        (terms(push=None, delete=minimum), is_delete_blocked),
    ):
        for acts_as in (make_signed_in, make_job):
            assert blocked([rule(said)], acts_as(), level=level, package_name="pkg") is (level < number)
            assert not blocked([rule(said)], acts_as(is_admin=True), level=level, package_name="pkg")
        assert not blocked([rule(said)], make_signed_in(), level=level, package_name="other")
        assert not blocked([], make_signed_in(), level=level, package_name="pkg")


@pytest.mark.parametrize(
    ("patterns", "is_blocked"),
    [(["pkg"], True), (["other", "p*"], True), (["other", "o*"], False), (["pkg", "*"], True)],
)
def test_one_rule_that_fits_suffices(patterns: list[str], *, is_blocked: bool) -> None:
    rules = [rule(terms(pattern, push=_ADMIN)) for pattern in patterns]
    assert is_push_blocked(rules, make_signed_in(), level=AccessLevel.OWNER, package_name="pkg") is is_blocked


def test_a_minimum_for_one_thing_says_nothing_of_the_other() -> None:
    level = AccessLevel.DEVELOPER
    assert not is_delete_blocked([rule(terms(push=_ADMIN))], make_signed_in(), level=level, package_name="pkg")
    only_delete = [rule(terms(push=None, delete=_ADMIN))]
    assert not is_push_blocked(only_delete, make_signed_in(), level=level, package_name="pkg")


@pytest.mark.parametrize("principal", [Anonymous(), DEPLOY_TOKEN], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(("push", "delete"), [(_MAINTAINER, None), (None, _OWNER), (_ADMIN, _ADMIN)])
def test_who_acts_as_no_user_is_blocked_by_any_rule(
    principal: Principal, push: ProtectionLevel | None, delete: ProtectionLevel | None
) -> None:
    rules = [rule(terms(push=push, delete=delete))]
    for blocked in (is_push_blocked, is_delete_blocked):
        assert blocked(rules, principal, level=AccessLevel.NO_ACCESS, package_name="PKG")
        assert not blocked(rules, principal, level=AccessLevel.NO_ACCESS, package_name="other")


@pytest.mark.parametrize("package_type", sorted(set(ProtectedPackageType) - {_PYPI}))
def test_rules_about_other_types_hold_nobody_back(package_type: ProtectedPackageType) -> None:
    rules = [rule(terms("*", package_type, push=_ADMIN, delete=_ADMIN))]
    for blocked in (is_push_blocked, is_delete_blocked):
        assert not blocked(rules, Anonymous(), level=AccessLevel.NO_ACCESS, package_name="pkg")


def test_maintainers_administer_rules_where_there_is_a_registry() -> None:
    for access in RegistryAccess:
        is_on = access is not RegistryAccess.DISABLED
        for level, may in ((AccessLevel.DEVELOPER, False), (AccessLevel.MAINTAINER, is_on), (AccessLevel.OWNER, is_on)):
            assert may_administer_packages(make_signed_in(), make_project(registry_access=access), level) is may
        assert (
            may_administer_packages(
                make_signed_in(is_admin=True), make_project(registry_access=access), AccessLevel.NO_ACCESS
            )
            is is_on
        )


_BAD = "Package name pattern should be a valid {} package name with optional wildcard characters."


@pytest.mark.parametrize(
    ("package_type", "pattern", "is_good"),
    [
        (_PYPI, "*", True),
        (_PYPI, "my-package-*", True),
        (_PYPI, "*-my.package", True),
        (_PYPI, "a*b*c", True),
        (_PYPI, "my-scope/my-package", True),
        (_PYPI, "my-scope/*my-package-with-wildcard-inbetween", True),
        (_PYPI, "my-scope/my-*package-*with-wildcard-multiple-*", True),
        (_PYPI, "@my-scope/my-package-*", True),
        (_PYPI, "my-scope/my-package-with_____underscore", True),
        (_PYPI, "*my-scope/my-package-with-wildcard-start", False),
        (_PYPI, "my-scope/my-package-with-backslash-\\*", False),
        (_PYPI, "my-package-with-percent-sign-%", False),
        (_PYPI, "my-scope/my-package-with-regex-characters.+", False),
        (_PYPI, "$my-package", False),
        (_PYPI, "my package", False),
        (_PYPI, "my-package\n", False),
        (_PYPI, "päckage", False),
        (_PYPI, "my-scope/my-package-with-@at@-sign", False),
        (_NPM, "*", True),
        (_NPM, "@my-scope/my-package-*", True),
        (_NPM, "@my-scope/my-package-with-regex-characters.+", True),
        (_NPM, "*@my-scope/my-package-with-wildcard-start", False),
        (_NPM, "@my-scope/my-package-with-percent-sign-%", False),
        (_TERRAFORM, "*", True),
        (_TERRAFORM, "*/aws", True),
        (_TERRAFORM, "my-module", False),
        (ProtectedPackageType.GENERIC, "any thing %", True),
    ],
)
def test_patterns_are_checked_for_their_type(
    package_type: ProtectedPackageType, pattern: str, *, is_good: bool
) -> None:
    kind = {_PYPI: "PyPI", _NPM: "NPM", _TERRAFORM: "Terraform module"}.get(package_type)
    assert problems_of(terms(pattern, package_type)) == (() if is_good else (_BAD.format(kind),))


@pytest.mark.parametrize("package_type", [_PYPI, ProtectedPackageType.MAVEN])
def test_a_rule_has_a_pattern_of_bounded_length_and_asks_for_something(package_type: ProtectedPackageType) -> None:
    neither = "A rule must have at least a minimum access role for push or delete."
    long = "Package name pattern is too long (maximum is 255 characters)"
    assert problems_of(terms("a" * 255, package_type)) == ()
    assert problems_of(terms("a" * 256, package_type)) == (long,)
    for blank in ("", "  "):
        assert problems_of(terms(blank, package_type)) == ("Package name pattern can't be blank",)
    assert problems_of(terms(package_type=package_type, push=None)) == (neither,)
    assert problems_of(terms("a" * 256, package_type, push=None)) == (long, neither)
    assert problems_of(terms(package_type=package_type, push=None, delete=_OWNER)) == ()
