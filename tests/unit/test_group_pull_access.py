"""What of its projects' packages a group shows and serves: as tables, and as properties."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access import (
    PullRules,
    is_listed_in_group,
    may_pull_through_group,
    may_read_packages,
    open_visibilities,
)
from shared.models import (
    AccessLevel,
    Namespace,
    NamespaceId,
    NamespaceKind,
    PipelineId,
    Project,
    ProjectId,
    RegistryAccess,
    TokenId,
    User,
    UserId,
    UserState,
    Visibility,
)
from shared.principals import READ_PACKAGES, WRITE_PACKAGES, Anonymous, DeployToken, Job, Principal, SignedIn

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPEN = PullRules(guests_may_pull=True, anyone_may_pull=True)
CLOSED = PullRules(guests_may_pull=False, anyone_may_pull=True)
NONE = AccessLevel.NO_ACCESS
PRIVATE, INTERNAL, PUBLIC = Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC
ABOVE, BELOW, BESIDE = NamespaceId(1), NamespaceId(2), NamespaceId(3)


def project(visibility: Visibility, registry_access: RegistryAccess = RegistryAccess.ENABLED) -> Project:
    group = Namespace(
        id=BELOW,
        kind=NamespaceKind.GROUP,
        parent_id=ABOVE,
        ancestor_ids=(ABOVE, BELOW),
        name="g",
        path="g",
        full_path="top/g",
        description="",
        visibility=PUBLIC,
        created_at=NOW,
    )
    return Project(
        id=ProjectId(1),
        namespace=group,
        name="p",
        path="p",
        full_path="top/g/p",
        description="",
        visibility=visibility,
        registry_access=registry_access,
        creator_id=None,
        created_at=NOW,
    )


def user(*, is_admin: bool = False, is_external: bool = False) -> SignedIn:
    person = User(
        id=UserId(1),
        username="u",
        name="U",
        email="u@example.com",
        state=UserState.ACTIVE,
        is_admin=is_admin,
        is_external=is_external,
        namespace_id=NamespaceId(9),
        created_at=NOW,
    )
    return SignedIn(user=person, token_id=TokenId(1), scopes=("api",))


def job(*, is_admin: bool = False, is_external: bool = False) -> Job:
    person = user(is_admin=is_admin, is_external=is_external).user
    return Job(user=person, token_id=TokenId(1), project=project(PRIVATE), pipeline_id=PipelineId(1))


def token(
    *, of_project: int | None = None, of_group: NamespaceId | None = None, scope: str = READ_PACKAGES
) -> DeployToken:
    return DeployToken(
        token_id=TokenId(1),
        project_id=None if of_project is None else ProjectId(of_project),
        namespace_id=of_group,
        scopes=(scope,),
    )


@pytest.mark.parametrize(
    ("visibility", "principal", "level", "rules", "expected"),
    [
        (PUBLIC, Anonymous(), NONE, CLOSED, True),
        (INTERNAL, Anonymous(), NONE, OPEN, False),
        (PRIVATE, Anonymous(), NONE, OPEN, False),
        (PUBLIC, user(is_external=True), NONE, CLOSED, True),
        (INTERNAL, user(), NONE, CLOSED, True),
        (INTERNAL, user(is_external=True), NONE, OPEN, False),
        (INTERNAL, user(is_external=True), AccessLevel.GUEST, OPEN, True),
        (INTERNAL, user(is_external=True), AccessLevel.PLANNER, CLOSED, False),
        (INTERNAL, user(is_external=True), AccessLevel.REPORTER, CLOSED, True),
        (PRIVATE, user(), NONE, OPEN, False),
        (PRIVATE, user(), AccessLevel.MINIMAL, OPEN, False),
        (PRIVATE, user(), AccessLevel.GUEST, OPEN, True),
        (PRIVATE, user(), AccessLevel.PLANNER, CLOSED, False),
        (PRIVATE, user(), AccessLevel.REPORTER, CLOSED, True),
        (PRIVATE, user(is_admin=True), NONE, CLOSED, True),
        (PRIVATE, job(), NONE, OPEN, False),
        (PRIVATE, job(is_admin=True), NONE, OPEN, False),
        (PRIVATE, job(), AccessLevel.REPORTER, CLOSED, True),
        (INTERNAL, job(), NONE, CLOSED, True),
        (INTERNAL, job(is_external=True), NONE, CLOSED, False),
    ],
)
def test_users_jobs_and_nobody_are_shown_what_they_may_download(
    visibility: Visibility, principal: Principal, level: AccessLevel, rules: PullRules, *, expected: bool
) -> None:
    assert may_pull_through_group(principal, project(visibility), level, rules) is expected
    assert is_listed_in_group(principal, project(visibility), level, rules) is expected


@pytest.mark.parametrize(
    ("visibility", "principal", "is_listed", "is_served"),
    [
        (PRIVATE, token(of_project=1), True, True),
        (PRIVATE, token(of_group=ABOVE), True, True),
        (PRIVATE, token(of_group=BELOW, scope=WRITE_PACKAGES), True, True),
        (PRIVATE, token(of_group=BELOW, scope="read_repository"), False, False),
        (PRIVATE, token(of_group=BESIDE), False, False),
        (PRIVATE, token(of_project=2), False, False),
        (INTERNAL, token(of_project=2), False, True),
        (PUBLIC, token(of_group=BESIDE), False, True),
        (PUBLIC, token(of_project=1, scope="read_repository"), False, True),
    ],
)
def test_a_deploy_token_is_shown_what_it_is_for_and_downloads_what_is_open_besides(
    visibility: Visibility, principal: DeployToken, *, is_listed: bool, is_served: bool
) -> None:
    assert is_listed_in_group(principal, project(visibility), NONE, OPEN) is is_listed
    assert may_pull_through_group(principal, project(visibility), NONE, OPEN) is is_served


@pytest.mark.parametrize("principal", [Anonymous(), user(), user(is_admin=True), job(), token(of_project=1)])
def test_a_disabled_registry_is_in_no_group(principal: Principal) -> None:
    for visibility in Visibility:
        disabled = project(visibility, RegistryAccess.DISABLED)
        assert not may_pull_through_group(principal, disabled, AccessLevel.OWNER, OPEN)
        assert not is_listed_in_group(principal, disabled, AccessLevel.OWNER, OPEN)


@pytest.mark.parametrize("principal", [Anonymous(), user(), token(of_project=2)])
def test_a_private_project_that_anybody_may_pull_from_is_in_no_group(principal: Principal) -> None:
    opened = project(PRIVATE, RegistryAccess.PUBLIC)
    assert may_read_packages(principal, opened, NONE, OPEN)
    assert not may_pull_through_group(principal, opened, NONE, OPEN)


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        (Anonymous(), {PUBLIC}),
        (user(is_external=True), {PUBLIC}),
        (user(), {PUBLIC, INTERNAL}),
        (user(is_admin=True), {PUBLIC, INTERNAL, PRIVATE}),
        (job(is_admin=True), {PUBLIC, INTERNAL}),
        (token(of_project=1), {PUBLIC, INTERNAL}),
    ],
)
def test_some_visibilities_are_open_to_a_caller(principal: Principal, expected: set[Visibility]) -> None:
    assert open_visibilities(principal) == expected


_PRINCIPALS = st.one_of(
    st.just(Anonymous()),
    st.builds(user, is_admin=st.booleans(), is_external=st.booleans()),
    st.builds(job, is_admin=st.booleans(), is_external=st.booleans()),
    st.builds(token, of_project=st.sampled_from([1, 2]), scope=st.sampled_from([READ_PACKAGES, "read_registry"])),
    st.builds(token, of_group=st.sampled_from([ABOVE, BESIDE]), scope=st.just(WRITE_PACKAGES)),
)


@given(
    principal=_PRINCIPALS,
    where=st.builds(project, st.sampled_from(Visibility), st.sampled_from(RegistryAccess)),
    level=st.sampled_from(AccessLevel),
    rules=st.builds(PullRules, guests_may_pull=st.booleans(), anyone_may_pull=st.booleans()),
)
def test_no_group_shows_what_it_does_not_serve_nor_serves_what_the_project_does_not(
    principal: Principal, where: Project, level: AccessLevel, rules: PullRules
) -> None:
    level = level if isinstance(principal, SignedIn | Job) else NONE
    is_served = may_pull_through_group(principal, where, level, rules)

    assert is_listed_in_group(principal, where, level, rules) <= is_served
    assert is_served <= may_read_packages(principal, where, level, rules)
