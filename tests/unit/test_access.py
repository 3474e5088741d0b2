"""The access rules, as tables and as a property."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access import (
    PullRules,
    level_of_job,
    may_administer_group,
    may_administer_project,
    may_create_packages,
    may_delete_project,
    may_grant,
    may_read_group,
    may_read_packages,
    may_read_project,
    require_pull,
    require_push,
)
from shared.errors import Forbidden, LarderError, NotFound, Unauthenticated
from shared.models import (
    AccessLevel,
    Namespace,
    Project,
    RegistryAccess,
    Visibility,
)
from shared.principals import Anonymous, Principal, SignedIn
from tests.access_samples import make_group, make_job, make_project, make_signed_in

_OPEN = PullRules(guests_may_pull=True, anyone_may_pull=True)
_CLOSED = PullRules(guests_may_pull=False, anyone_may_pull=False)
_NONE = AccessLevel.NO_ACCESS
_PRIVATE, _INTERNAL, _PUBLIC = Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC


_ANONYMOUS = Anonymous()
_MEMBER = make_signed_in()
_STRANGER = make_signed_in()
_EXTERNAL = make_signed_in(is_external=True)
_ADMIN = make_signed_in(is_admin=True)


def _refusal(check: object) -> type[LarderError] | None:
    assert callable(check)
    try:
        check()
    except LarderError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("visibility", "principal", "level", "rules", "expected"),
    [
        (_PUBLIC, _ANONYMOUS, _NONE, _CLOSED, None),
        (_PUBLIC, _STRANGER, _NONE, _CLOSED, None),
        (_PUBLIC, _MEMBER, AccessLevel.GUEST, _CLOSED, None),
        (_INTERNAL, _ANONYMOUS, _NONE, _OPEN, Unauthenticated),
        (_INTERNAL, _STRANGER, _NONE, _CLOSED, None),
        (_INTERNAL, _EXTERNAL, _NONE, _OPEN, NotFound),
        (_INTERNAL, _EXTERNAL, AccessLevel.REPORTER, _CLOSED, None),
        (_PRIVATE, _ANONYMOUS, _NONE, _OPEN, Unauthenticated),
        (_PRIVATE, _STRANGER, _NONE, _OPEN, NotFound),
        (_PRIVATE, _MEMBER, AccessLevel.GUEST, _OPEN, None),
        (_PRIVATE, _MEMBER, AccessLevel.PLANNER, _OPEN, None),
        (_PRIVATE, _MEMBER, AccessLevel.GUEST, _CLOSED, Forbidden),
        (_PRIVATE, _MEMBER, AccessLevel.REPORTER, _CLOSED, None),
        (_PRIVATE, _ADMIN, _NONE, _CLOSED, None),
    ],
)
def test_reading_packages_follows_the_matrix(
    visibility: Visibility,
    principal: Principal,
    level: AccessLevel,
    rules: PullRules,
    expected: type[LarderError] | None,
) -> None:
    project = make_project(visibility)

    assert _refusal(lambda: require_pull(principal, project, level, rules)) is expected


@pytest.mark.parametrize(
    ("visibility", "principal", "level", "expected"),
    [
        (_PUBLIC, _MEMBER, AccessLevel.DEVELOPER, None),
        (_PUBLIC, _MEMBER, AccessLevel.REPORTER, Forbidden),
        (_PUBLIC, _MEMBER, AccessLevel.GUEST, Forbidden),
        (_PUBLIC, _STRANGER, _NONE, Forbidden),
        (_PUBLIC, _ANONYMOUS, _NONE, Unauthenticated),
        (_INTERNAL, _STRANGER, _NONE, Forbidden),
        (_INTERNAL, _EXTERNAL, _NONE, NotFound),
        (_INTERNAL, _MEMBER, AccessLevel.DEVELOPER, None),
        (_PRIVATE, _MEMBER, AccessLevel.DEVELOPER, None),
        (_PRIVATE, _MEMBER, AccessLevel.MAINTAINER, None),
        (_PRIVATE, _MEMBER, AccessLevel.REPORTER, Forbidden),
        (_PRIVATE, _STRANGER, _NONE, NotFound),
        (_PRIVATE, _ANONYMOUS, _NONE, Unauthenticated),
        (_PRIVATE, _ADMIN, _NONE, None),
    ],
)
def test_uploading_follows_the_matrix(
    visibility: Visibility, principal: Principal, level: AccessLevel, expected: type[LarderError] | None
) -> None:
    project = make_project(visibility)

    assert _refusal(lambda: require_push(principal, project, level)) is expected


@pytest.mark.parametrize("principal", [_ANONYMOUS, _STRANGER, _ADMIN])
def test_a_disabled_registry_refuses_everybody_who_sees_the_project(principal: Principal) -> None:
    project = make_project(_PUBLIC, RegistryAccess.DISABLED)

    assert _refusal(lambda: require_pull(principal, project, AccessLevel.OWNER, _OPEN)) is Forbidden
    expected = Unauthenticated if principal is _ANONYMOUS else Forbidden
    assert _refusal(lambda: require_push(principal, project, AccessLevel.OWNER)) is expected


def test_a_public_registry_opens_a_private_project_to_readers_only_while_the_instance_allows_it() -> None:
    project = make_project(_PRIVATE, RegistryAccess.PUBLIC)

    assert _refusal(lambda: require_pull(_ANONYMOUS, project, _NONE, _OPEN)) is None
    assert _refusal(lambda: require_pull(_ANONYMOUS, project, _NONE, _CLOSED)) is Unauthenticated
    assert _refusal(lambda: require_push(_STRANGER, project, _NONE)) is NotFound


@pytest.mark.parametrize(
    ("visibility", "principal", "level", "is_member_below", "expected"),
    [
        (_PUBLIC, _ANONYMOUS, _NONE, False, True),
        (_INTERNAL, _ANONYMOUS, _NONE, False, False),
        (_INTERNAL, _STRANGER, _NONE, False, True),
        (_INTERNAL, _EXTERNAL, _NONE, False, False),
        (_INTERNAL, _EXTERNAL, _NONE, True, True),
        (_INTERNAL, _EXTERNAL, AccessLevel.GUEST, False, True),
        (_PRIVATE, _ANONYMOUS, _NONE, False, False),
        (_PRIVATE, _STRANGER, _NONE, False, False),
        (_PRIVATE, _STRANGER, _NONE, True, True),
        (_PRIVATE, _MEMBER, AccessLevel.MINIMAL, False, False),
        (_PRIVATE, _MEMBER, AccessLevel.GUEST, False, True),
        (_PRIVATE, _ADMIN, _NONE, False, True),
    ],
)
def test_reading_a_group_follows_the_matrix(
    visibility: Visibility,
    principal: Principal,
    level: AccessLevel,
    is_member_below: bool,  # noqa: FBT001 - a column of the table
    expected: bool,  # noqa: FBT001 - another
) -> None:
    assert may_read_group(principal, make_group(visibility), level, is_member_below=is_member_below) is expected


@pytest.mark.parametrize(
    ("principal", "level", "changes_project", "owns"),
    [
        (_ANONYMOUS, _NONE, False, False),
        (_STRANGER, _NONE, False, False),
        (_MEMBER, AccessLevel.DEVELOPER, False, False),
        (_MEMBER, AccessLevel.MAINTAINER, True, False),
        (_MEMBER, AccessLevel.OWNER, True, True),
        (_ADMIN, _NONE, True, True),
    ],
)
def test_administering_follows_the_matrix(
    principal: Principal,
    level: AccessLevel,
    changes_project: bool,  # noqa: FBT001 - a column of the table
    owns: bool,  # noqa: FBT001 - another
) -> None:
    assert may_administer_project(principal, level) is changes_project
    assert may_delete_project(principal, level) is owns
    assert may_administer_group(principal, level) is owns


def test_nobody_grants_more_than_they_have_but_an_administrator() -> None:
    assert may_grant(_MEMBER, AccessLevel.MAINTAINER, AccessLevel.MAINTAINER)
    assert not may_grant(_MEMBER, AccessLevel.MAINTAINER, AccessLevel.OWNER)
    assert may_grant(_ADMIN, _NONE, AccessLevel.OWNER)


_LEVELS = st.sampled_from(AccessLevel)
_ANY_PROJECT = st.builds(make_project, st.sampled_from(Visibility), st.sampled_from(RegistryAccess))
_ANY_RULES = st.builds(PullRules, guests_may_pull=st.booleans(), anyone_may_pull=st.booleans())
_ANY_USER = st.builds(make_signed_in, is_admin=st.booleans(), is_external=st.booleans())


@given(project=_ANY_PROJECT, rules=_ANY_RULES, user=_ANY_USER, levels=st.tuples(_LEVELS, _LEVELS))
def test_nobody_gains_by_losing_a_level(
    project: Project, rules: PullRules, user: SignedIn, levels: tuple[AccessLevel, AccessLevel]
) -> None:
    low, high = sorted(levels)

    assert may_read_project(user, project, low) <= may_read_project(user, project, high)
    assert may_read_packages(user, project, low, rules) <= may_read_packages(user, project, high, rules)
    assert may_create_packages(user, project, low) <= may_create_packages(user, project, high)
    assert may_administer_project(user, low) <= may_administer_project(user, high)
    assert may_delete_project(user, low) <= may_delete_project(user, high)


@given(
    group=st.builds(make_group, st.sampled_from(Visibility)),
    user=_ANY_USER,
    levels=st.tuples(_LEVELS, _LEVELS),
    granted=_LEVELS,
)
def test_nobody_gains_in_a_group_by_losing_a_level(
    group: Namespace, user: SignedIn, levels: tuple[AccessLevel, AccessLevel], granted: AccessLevel
) -> None:
    low, high = sorted(levels)

    for is_below in (False, True):
        had = may_read_group(user, group, high, is_member_below=True)
        assert may_read_group(user, group, low, is_member_below=is_below) <= had
        assert may_read_group(_ANONYMOUS, group, _NONE, is_member_below=False) <= had
    assert may_administer_group(user, low) <= may_administer_group(user, high)
    assert may_grant(user, low, granted) <= may_grant(user, high, granted)


@given(project=_ANY_PROJECT, rules=_ANY_RULES, user=_ANY_USER, level=_LEVELS)
def test_nobody_gains_by_signing_out(project: Project, rules: PullRules, user: SignedIn, level: AccessLevel) -> None:
    assert may_read_packages(_ANONYMOUS, project, _NONE, rules) <= may_read_packages(user, project, level, rules)
    assert not may_create_packages(_ANONYMOUS, project, _NONE)


@given(project=_ANY_PROJECT, rules=_ANY_RULES, user=_ANY_USER, level=_LEVELS)
def test_no_job_gains_by_being_kept_out(project: Project, rules: PullRules, user: SignedIn, level: AccessLevel) -> None:
    job = replace(make_job(), user=user.user)
    inside, outside = (level_of_job(job, level, is_let_in=is_let_in) for is_let_in in (True, False))

    assert outside <= inside
    assert may_read_project(job, project, outside) <= may_read_project(job, project, inside)
    assert may_read_packages(job, project, outside, rules) <= may_read_packages(job, project, inside, rules)
    assert may_create_packages(job, project, outside) <= may_create_packages(job, project, inside)
    assert may_administer_project(job, outside) <= may_administer_project(job, inside)
    assert may_delete_project(job, outside) <= may_delete_project(job, inside)


@given(project=_ANY_PROJECT, rules=_ANY_RULES, user=_ANY_USER, level=_LEVELS)
def test_a_job_is_never_more_than_its_user(
    project: Project, rules: PullRules, user: SignedIn, level: AccessLevel
) -> None:
    job = replace(make_job(), user=user.user)
    for is_let_in in (True, False):
        own = level_of_job(job, level, is_let_in=is_let_in)

        assert may_read_project(job, project, own) <= may_read_project(user, project, level)
        assert may_read_packages(job, project, own, rules) <= may_read_packages(user, project, level, rules)
        assert may_create_packages(job, project, own) <= may_create_packages(user, project, level)
        assert may_administer_project(job, own) <= may_administer_project(user, level)
