"""Package protection rules: what one says, which names it is about, and whom it holds back.

Source: app/models/packages/protection/rule.rb and app/services/packages/protection/check_rule_existence_service.rb.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NewType

from shared.models import AccessLevel, ProjectId
from shared.names import MAX_NAME_CHARACTERS, normalize_name
from shared.principals import Principal, user_of

ProtectionRuleId = NewType("ProtectionRuleId", int)

MAX_PATTERN_CHARACTERS = 255
_ADMIN = 60
_NO_LEVEL = "A rule must have at least a minimum access role for push or delete."


class ProtectedPackageType(StrEnum):
    """Types of packages that rules can be about; only those of PyPI exist here."""

    CARGO = "cargo"
    CONAN = "conan"
    GENERIC = "generic"
    HELM = "helm"
    MAVEN = "maven"
    NPM = "npm"
    NUGET = "nuget"
    PYPI = "pypi"
    TERRAFORM_MODULE = "terraform_module"


class ProtectionLevel(StrEnum):
    """The least that somebody must be; administrators of the instance stand above all levels of members."""

    MAINTAINER = "maintainer"
    OWNER = "owner"
    ADMIN = "admin"


_NUMBERS = {
    ProtectionLevel.MAINTAINER: int(AccessLevel.MAINTAINER),
    ProtectionLevel.OWNER: int(AccessLevel.OWNER),
    ProtectionLevel.ADMIN: _ADMIN,
}

# Source: lib/gitlab/regex/packages/protection/rules.rb, lib/gitlab/regex/packages.rb. The groups are atomic there too,
# against backtracking. A name of PyPI may begin with the wildcard, as those rules promise and their expression forgets.
_PATTERNS: Mapping[ProtectedPackageType, tuple[str, re.Pattern[str]]] = {
    ProtectedPackageType.NPM: (
        "NPM",
        re.compile(
            r"(?:@(?:[a-zA-Z0-9_.][a-zA-Z0-9_.-]{0,254}[a-zA-Z0-9_-]|[a-zA-Z0-9_])(?<!\.git)(?<!\.atom)/)?"
            r"[-+._a-zA-Z0-9*]+"
        ),
    ),
    ProtectedPackageType.PYPI: (
        "PyPI",
        re.compile(
            r"[\w\-.*]+|@?(?>(?:[\w\-.+]*/)*[\w\-.]+)@?(?>(?:[\w\-.+]*/)*[\w\-.*]*)",
            re.ASCII,
        ),
    ),
    ProtectedPackageType.TERRAFORM_MODULE: ("Terraform module", re.compile(r"\*|[-a-z0-9*]+/[-a-z0-9*]+")),
}


@dataclass(frozen=True, slots=True)
class ProtectionTerms:
    """What a rule says.

    Args:
        package_name_pattern: a whole name, in which each `*` stands for any characters, or none.
        minimum_access_level_for_push: who is below it may not upload; None: everybody may who can.
        minimum_access_level_for_delete: who is below it may not delete; None: everybody may who can.
    """

    package_name_pattern: str
    package_type: ProtectedPackageType
    minimum_access_level_for_push: ProtectionLevel | None
    minimum_access_level_for_delete: ProtectionLevel | None

    def without_delete(self) -> "ProtectionTerms":
        """Return what is left of them where nothing is protected against deletes."""
        return replace(self, minimum_access_level_for_delete=None)


@dataclass(frozen=True, slots=True)
class ProtectionRule:
    """A project's rule about some of its packages."""

    id: ProtectionRuleId
    project_id: ProjectId
    terms: ProtectionTerms
    created_at: datetime
    updated_at: datetime


def problems_of(terms: ProtectionTerms) -> tuple[str, ...]:
    """Return what no rule may say, in GitLab's sentences; empty when nothing is wrong."""
    problems = [f"Package name pattern {problem}" for problem in _pattern_problems(terms)]
    if terms.minimum_access_level_for_push is None and terms.minimum_access_level_for_delete is None:
        problems.append(_NO_LEVEL)
    return tuple(problems)


def is_push_blocked(
    rules: Iterable[ProtectionRule], principal: Principal, *, level: AccessLevel, package_name: str
) -> bool:
    """Say whether a rule keeps the caller from uploading a PyPI package of this name.

    Args:
        level: the caller's in the project.
    """
    return _is_blocked(rules, principal, level, package_name, _level_for_push)


def is_delete_blocked(
    rules: Iterable[ProtectionRule], principal: Principal, *, level: AccessLevel, package_name: str
) -> bool:
    """Say whether a rule keeps the caller from deleting a PyPI package of this name, or a file of it.

    Args:
        level: the caller's in the project.
    """
    return _is_blocked(rules, principal, level, package_name, _level_for_delete)


def is_about(terms: ProtectionTerms, package_name: str) -> bool:
    """Say whether the pattern fits the name, whatever the case; names of PyPI are one however they are spelt."""
    if not package_name or len(package_name) > MAX_NAME_CHARACTERS:
        return False  # No package is called so.
    if terms.package_type is ProtectedPackageType.PYPI:
        return matches_glob(normalize_name(terms.package_name_pattern), normalize_name(package_name))
    return matches_glob(terms.package_name_pattern.lower(), package_name.lower())


def matches_glob(pattern: str, text: str) -> bool:
    """Say whether the pattern, in which each `*` stands for any characters or none, fits the whole text.

    What stands between the wildcards is looked for from left to right, each where it comes first: nothing is ever tried
    again, so that no pattern takes long.
    """
    first, *others = pattern.split("*")
    if not others:
        return text == first
    *between, last = others
    if len(first) + len(last) > len(text) or not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for part in filter(None, between):
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def _is_blocked(
    rules: Iterable[ProtectionRule],
    principal: Principal,
    level: AccessLevel,
    package_name: str,
    minimum_of: Callable[[ProtectionTerms], ProtectionLevel | None],
) -> bool:
    user = user_of(principal)
    if user is not None and user.is_admin:
        return False
    for terms in (rule.terms for rule in rules):
        if terms.package_type is not ProtectedPackageType.PYPI:
            continue
        minimum = minimum_of(terms)
        # Who acts as no user, as deploy tokens do, has no level to compare: any rule about the package holds them back.
        if user is not None and (minimum is None or level >= _NUMBERS[minimum]):
            continue
        if is_about(terms, package_name):
            return True
    return False


def _level_for_push(terms: ProtectionTerms) -> ProtectionLevel | None:
    return terms.minimum_access_level_for_push


def _level_for_delete(terms: ProtectionTerms) -> ProtectionLevel | None:
    return terms.minimum_access_level_for_delete


def _pattern_problems(terms: ProtectionTerms) -> Iterable[str]:
    pattern = terms.package_name_pattern
    if not pattern.strip():
        yield "can't be blank"
    elif len(pattern) > MAX_PATTERN_CHARACTERS:
        yield f"is too long (maximum is {MAX_PATTERN_CHARACTERS} characters)"
    elif terms.package_type in _PATTERNS:
        kind, allowed = _PATTERNS[terms.package_type]
        if not allowed.fullmatch(pattern):
            yield f"should be a valid {kind} package name with optional wildcard characters."
