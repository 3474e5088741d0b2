"""The access rules, as tables and as a property."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access import (
    PullRules,
    may_create_packages,
    may_read_packages,
    may_read_project,
    require_pull,
    require_push,
)
from shared.errors import Forbidden, LarderError, NotFound, Unauthenticated
from shared.models import (
    AccessLevel,
    Anonymous,
    Namespace,
    NamespaceId,
    NamespaceKind,
    Principal,
    Project,
    ProjectId,
    RegistryAccess,
    SignedIn,
    TokenId,
    User,
    UserId,
    UserState,
    Visibility,
)

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_OPEN = PullRules(guests_may_pull=True, anyone_may_pull=True)
_CLOSED = PullRules(guests_may_pull=False, anyone_may_pull=False)
_NONE = AccessLevel.NO_ACCESS
_PRIVATE, _INTERNAL, _PUBLIC = Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC


def _project(visibility: Visibility, registry_access: RegistryAccess = RegistryAccess.ENABLED) -> Project:
    namespace = Namespace(
        id=NamespaceId(1),
        kind=NamespaceKind.GROUP,
        parent_id=None,
        ancestor_ids=(NamespaceId(1),),
        name="g",
        path="g",
        full_path="g",
        description="",
        visibility=Visibility.PUBLIC,
        created_at=_NOW,
    )
    return Project(
        id=ProjectId(1),
        namespace=namespace,
        name="p",
        path="p",
        full_path="g/p",
        description="",
        visibility=visibility,
        registry_access=registry_access,
        creator_id=None,
        created_at=_NOW,
    )


def _user(*, is_admin: bool = False, is_external: bool = False) -> SignedIn:
    user = User(
        id=UserId(1),
        username="u",
        name="U",
        email="u@example.com",
        state=UserState.ACTIVE,
        is_admin=is_admin,
        is_external=is_external,
        namespace_id=NamespaceId(2),
        created_at=_NOW,
    )
    return SignedIn(user=user, token_id=TokenId(1), scopes=("api",))


_ANONYMOUS = Anonymous()
_MEMBER = _user()
_STRANGER = _user()
_EXTERNAL = _user(is_external=True)
_ADMIN = _user(is_admin=True)


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
    project = _project(visibility)

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
    project = _project(visibility)

    assert _refusal(lambda: require_push(principal, project, level)) is expected


@pytest.mark.parametrize("principal", [_ANONYMOUS, _STRANGER, _ADMIN])
def test_a_disabled_registry_refuses_everybody_who_sees_the_project(principal: Principal) -> None:
    project = _project(_PUBLIC, RegistryAccess.DISABLED)

    assert _refusal(lambda: require_pull(principal, project, AccessLevel.OWNER, _OPEN)) is Forbidden
    expected = Unauthenticated if principal is _ANONYMOUS else Forbidden
    assert _refusal(lambda: require_push(principal, project, AccessLevel.OWNER)) is expected


def test_a_public_registry_opens_a_private_project_to_readers_only_while_the_instance_allows_it() -> None:
    project = _project(_PRIVATE, RegistryAccess.PUBLIC)

    assert _refusal(lambda: require_pull(_ANONYMOUS, project, _NONE, _OPEN)) is None
    assert _refusal(lambda: require_pull(_ANONYMOUS, project, _NONE, _CLOSED)) is Unauthenticated
    assert _refusal(lambda: require_push(_STRANGER, project, _NONE)) is NotFound


_LEVELS = st.sampled_from(AccessLevel)
_ANY_PROJECT = st.builds(_project, st.sampled_from(Visibility), st.sampled_from(RegistryAccess))
_ANY_RULES = st.builds(PullRules, guests_may_pull=st.booleans(), anyone_may_pull=st.booleans())
_ANY_USER = st.builds(_user, is_admin=st.booleans(), is_external=st.booleans())


@given(project=_ANY_PROJECT, rules=_ANY_RULES, user=_ANY_USER, levels=st.tuples(_LEVELS, _LEVELS))
def test_nobody_gains_by_losing_a_level(
    project: Project, rules: PullRules, user: SignedIn, levels: tuple[AccessLevel, AccessLevel]
) -> None:
    low, high = sorted(levels)

    assert may_read_project(user, project, low) <= may_read_project(user, project, high)
    assert may_read_packages(user, project, low, rules) <= may_read_packages(user, project, high, rules)
    assert may_create_packages(user, project, low) <= may_create_packages(user, project, high)


@given(project=_ANY_PROJECT, rules=_ANY_RULES, user=_ANY_USER, level=_LEVELS)
def test_nobody_gains_by_signing_out(project: Project, rules: PullRules, user: SignedIn, level: AccessLevel) -> None:
    assert may_read_packages(_ANONYMOUS, project, _NONE, rules) <= may_read_packages(user, project, level, rules)
    assert not may_create_packages(_ANONYMOUS, project, _NONE)
