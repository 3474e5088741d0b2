"""The access rules for deploy tokens and jobs, as tables and as properties."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access import (
    PullRules,
    is_admin,
    level_of_job,
    may_administer_group,
    may_administer_project,
    may_create_packages,
    may_delete_project,
    may_read_group,
    may_read_group_deploy_tokens,
    may_read_group_packages,
    may_read_packages,
    may_read_project,
    require_group_pull,
    require_pull,
    require_push,
)
from shared.errors import Forbidden, LarderError, NotFound
from shared.models import (
    AccessLevel,
    Namespace,
    NamespaceId,
    Project,
    ProjectId,
    RegistryAccess,
    TokenId,
    User,
    Visibility,
)
from shared.principals import (
    DEPLOY_TOKEN_SCOPES,
    READ_PACKAGES,
    WRITE_PACKAGES,
    Anonymous,
    DeployToken,
    Job,
    Principal,
    SignedIn,
)
from tests.access_samples import ASIDE, GROUP, TOP, make_group, make_job, make_project, make_signed_in, make_user

_OPEN = PullRules(guests_may_pull=True, anyone_may_pull=True)
_CLOSED = PullRules(guests_may_pull=False, anyone_may_pull=False)
_NONE = AccessLevel.NO_ACCESS
_PRIVATE, _INTERNAL, _PUBLIC = Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC
_READ, _WRITE = (READ_PACKAGES,), (WRITE_PACKAGES,)
_OTHERS = tuple(scope for scope in DEPLOY_TOKEN_SCOPES if scope not in (READ_PACKAGES, WRITE_PACKAGES))


def _of_project(scopes: tuple[str, ...], number: int = 2) -> DeployToken:
    return DeployToken(token_id=TokenId(1), project_id=ProjectId(number), namespace_id=None, scopes=scopes)


def _of_group(scopes: tuple[str, ...], number: NamespaceId = GROUP) -> DeployToken:
    return DeployToken(token_id=TokenId(1), project_id=None, namespace_id=number, scopes=scopes)


def _refusal(check: Callable[[], None]) -> type[LarderError] | None:
    try:
        check()
    except LarderError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("visibility", "token", "pull", "push"),
    [
        (_PRIVATE, _of_project(_READ), None, Forbidden),
        (_PRIVATE, _of_project(_WRITE), None, None),
        (_PRIVATE, _of_project(_READ + _WRITE), None, None),
        (_PRIVATE, _of_project(_OTHERS), NotFound, NotFound),
        (_PRIVATE, _of_project(()), NotFound, NotFound),
        (_PRIVATE, _of_project(_WRITE, 1), NotFound, NotFound),
        (_PRIVATE, _of_group(_READ), None, Forbidden),
        (_PRIVATE, _of_group(_WRITE), None, None),
        (_PRIVATE, _of_group(_WRITE, TOP), None, None),
        (_PRIVATE, _of_group(_OTHERS), NotFound, NotFound),
        (_PRIVATE, _of_group(_WRITE, ASIDE), NotFound, NotFound),
        (_INTERNAL, _of_project(_READ), None, Forbidden),
        (_INTERNAL, _of_project(_WRITE), None, None),
        (_INTERNAL, _of_project(_OTHERS), None, Forbidden),
        (_INTERNAL, _of_project(_WRITE, 1), None, Forbidden),
        (_INTERNAL, _of_group(_WRITE, ASIDE), None, Forbidden),
        (_PUBLIC, _of_project(_WRITE), None, None),
        (_PUBLIC, _of_project(_WRITE, 1), None, Forbidden),
        (_PUBLIC, _of_project(_OTHERS), None, Forbidden),
        (_PUBLIC, _of_group(_WRITE, TOP), None, None),
    ],
)
def test_a_deploy_token_reads_and_publishes_as_the_contract_says(
    visibility: Visibility, token: DeployToken, pull: type[LarderError] | None, push: type[LarderError] | None
) -> None:
    project = make_project(visibility)
    assert _refusal(lambda: require_pull(token, project, _NONE, _CLOSED)) is pull
    assert _refusal(lambda: require_push(token, project, _NONE)) is push


@pytest.mark.parametrize(
    ("visibility", "token", "expected"),
    [
        (_PRIVATE, _of_group(_READ), None),
        (_PRIVATE, _of_group(_WRITE), None),
        (_PRIVATE, _of_group(_OTHERS), NotFound),
        (_PRIVATE, _of_group(_WRITE, TOP), NotFound),
        (_PRIVATE, _of_group(_WRITE, ASIDE), NotFound),
        (_PRIVATE, _of_project(_WRITE), NotFound),
        (_INTERNAL, _of_group(_READ), None),
        (_INTERNAL, _of_group(_WRITE, TOP), Forbidden),
        (_INTERNAL, _of_project(_WRITE), Forbidden),
        (_PUBLIC, _of_group(_WRITE, TOP), None),
        (_PUBLIC, _of_project(_OTHERS), None),
    ],
)
def test_of_deploy_tokens_only_a_groups_very_own_opens_it(
    visibility: Visibility, token: DeployToken, expected: type[LarderError] | None
) -> None:
    group = make_group(visibility)
    refusal = _refusal(lambda: require_group_pull(token, group, _NONE, _OPEN, is_member_below=False))
    assert refusal is expected


@pytest.mark.parametrize(
    ("registry_access", "scopes", "rules", "pull", "push"),
    [
        (RegistryAccess.DISABLED, _WRITE, _OPEN, Forbidden, Forbidden),
        (RegistryAccess.DISABLED, _OTHERS, _OPEN, NotFound, NotFound),
        (RegistryAccess.PUBLIC, _OTHERS, _OPEN, None, NotFound),
        (RegistryAccess.PUBLIC, _OTHERS, _CLOSED, NotFound, NotFound),
        (RegistryAccess.PRIVATE, _WRITE, _CLOSED, None, None),
    ],
)
def test_a_registry_that_is_off_or_open_is_so_for_deploy_tokens(
    registry_access: RegistryAccess,
    scopes: tuple[str, ...],
    rules: PullRules,
    pull: type[LarderError] | None,
    push: type[LarderError] | None,
) -> None:
    project, token = make_project(_PRIVATE, registry_access), _of_project(scopes)
    assert _refusal(lambda: require_pull(token, project, _NONE, rules)) is pull
    assert _refusal(lambda: require_push(token, project, _NONE)) is push


@pytest.mark.parametrize(
    ("level", "may"),
    [(_NONE, False), (AccessLevel.DEVELOPER, False), (AccessLevel.MAINTAINER, True), (AccessLevel.OWNER, True)],
)
def test_maintainers_see_the_deploy_tokens_of_a_group(level: AccessLevel, *, may: bool) -> None:
    person = make_signed_in()
    administrator = make_signed_in(is_admin=True)
    assert may_read_group_deploy_tokens(person, level) is may
    assert may_read_group_deploy_tokens(administrator, level)
    assert not may_read_group_deploy_tokens(_of_group(DEPLOY_TOKEN_SCOPES), _NONE)


@pytest.mark.parametrize(
    ("user", "level", "is_let_in", "expected"),
    [
        (make_user(), AccessLevel.DEVELOPER, True, AccessLevel.DEVELOPER),
        (make_user(), AccessLevel.OWNER, False, _NONE),
        (make_user(is_admin=True), _NONE, True, AccessLevel.OWNER),
        (make_user(is_admin=True), AccessLevel.OWNER, False, _NONE),
    ],
)
def test_a_job_has_the_level_of_its_user_where_it_is_let_in(
    user: User,
    level: AccessLevel,
    is_let_in: bool,  # noqa: FBT001 - a column of the table
    expected: AccessLevel,
) -> None:
    assert level_of_job(replace(make_job(), user=user), level, is_let_in=is_let_in) is expected


@pytest.mark.parametrize(
    ("visibility", "user", "pull", "push"),
    [
        (_PRIVATE, make_user(is_admin=True), NotFound, NotFound),
        (_INTERNAL, make_user(is_admin=True), None, Forbidden),
        (_INTERNAL, make_user(is_external=True), NotFound, NotFound),
        (_PUBLIC, make_user(), None, Forbidden),
    ],
)
def test_a_job_that_is_not_let_in_sees_what_everybody_sees(
    visibility: Visibility, user: User, pull: type[LarderError] | None, push: type[LarderError] | None
) -> None:
    job, project = replace(make_job(), user=user), make_project(visibility)
    level = level_of_job(job, AccessLevel.OWNER, is_let_in=False)
    assert _refusal(lambda: require_pull(job, project, level, _CLOSED)) is pull
    assert _refusal(lambda: require_push(job, project, level)) is push


_SCOPES = st.sets(st.sampled_from(DEPLOY_TOKEN_SCOPES))
_ANY_PROJECT = st.builds(make_project, st.sampled_from(Visibility), st.sampled_from(RegistryAccess))
_ANY_GROUP = st.builds(make_group, st.sampled_from(Visibility))
_ANY_RULES = st.builds(PullRules, guests_may_pull=st.booleans(), anyone_may_pull=st.booleans())
_ANY_USER = st.builds(make_user, is_admin=st.booleans(), is_external=st.booleans())
_ANY_JOB = st.builds(make_job, is_admin=st.booleans(), is_external=st.booleans())
_ANY_SOURCE = st.one_of(
    st.builds(lambda number: (ProjectId(number), None), st.integers(1, 3)),
    st.builds(lambda number: (None, NamespaceId(number)), st.integers(1, 3)),
)
Source = tuple[ProjectId | None, NamespaceId | None]


def _token(source: Source, scopes: set[str]) -> DeployToken:
    project_id, namespace_id = source
    return DeployToken(TokenId(1), project_id=project_id, namespace_id=namespace_id, scopes=tuple(scopes))


def _powers(
    principal: Principal, level: AccessLevel, project: Project, group: Namespace, rules: PullRules
) -> list[bool]:
    """Return all that somebody may do in a project and a group at this level."""
    return [
        may_read_project(principal, project, level),
        may_read_packages(principal, project, level, rules),
        may_create_packages(principal, project, level),
        may_read_group(principal, group, level, is_member_below=False),
        may_read_group_packages(principal, group, level, rules),
        may_administer_project(principal, level),
        may_delete_project(principal, level),
        may_administer_group(principal, level),
        may_read_group_deploy_tokens(principal, level),
        is_admin(principal),
    ]


def _is_within(less: list[bool], more: list[bool]) -> bool:
    return all(one <= other for one, other in zip(less, more, strict=True))


@given(project=_ANY_PROJECT, group=_ANY_GROUP, rules=_ANY_RULES, source=_ANY_SOURCE, scopes=_SCOPES, lost=_SCOPES)
def test_no_deploy_token_gains_by_losing_a_scope(
    project: Project, group: Namespace, rules: PullRules, source: Source, *, scopes: set[str], lost: set[str]
) -> None:
    less = _powers(_token(source, scopes - lost), _NONE, project, group, rules)
    more = _powers(_token(source, scopes), _NONE, project, group, rules)
    assert _is_within(less, more)
    assert _is_within(_powers(Anonymous(), _NONE, project, group, rules), less)


@given(project=_ANY_PROJECT, group=_ANY_GROUP, rules=_ANY_RULES, source=_ANY_SOURCE, scopes=_SCOPES)
def test_no_deploy_token_does_more_than_a_developer_nor_publishes_what_it_may_not_read(
    project: Project, group: Namespace, rules: PullRules, source: Source, scopes: set[str]
) -> None:
    token = _token(source, scopes)
    developer = make_signed_in()
    assert _is_within(
        _powers(token, _NONE, project, group, rules), _powers(developer, AccessLevel.DEVELOPER, project, group, rules)
    )
    assert may_create_packages(token, project, _NONE) <= may_read_packages(token, project, _NONE, rules)
    assert may_read_packages(token, project, _NONE, _CLOSED) <= may_read_project(token, project, _NONE)


@given(project=_ANY_PROJECT, group=_ANY_GROUP, rules=_ANY_RULES, job=_ANY_JOB, level=st.sampled_from(AccessLevel))
def test_no_job_gains_by_losing_its_being_let_in_nor_does_more_than_its_user(
    project: Project, group: Namespace, rules: PullRules, job: Job, level: AccessLevel
) -> None:
    outside, inside = (level_of_job(job, level, is_let_in=is_let_in) for is_let_in in (False, True))
    less, more = (_powers(job, own, project, group, rules) for own in (outside, inside))
    user = SignedIn(user=job.user, token_id=TokenId(1), scopes=("api",))
    assert outside <= inside
    assert _is_within(less, more)
    assert _is_within(more, _powers(user, level, project, group, rules))
    assert _is_within(_powers(Anonymous(), _NONE, project, group, rules), less)
