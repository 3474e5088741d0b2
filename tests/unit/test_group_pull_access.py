"""What of its projects' packages a group shows and serves: as tables, and as properties."""

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
    NamespaceId,
    Project,
    ProjectId,
    RegistryAccess,
    TokenId,
    Visibility,
)
from shared.principals import READ_PACKAGES, WRITE_PACKAGES, Anonymous, DeployToken, Job, Principal, SignedIn
from tests.access_samples import ASIDE, GROUP, TOP, make_job, make_project, make_signed_in

OPEN = PullRules(guests_may_pull=True, anyone_may_pull=True)
CLOSED = PullRules(guests_may_pull=False, anyone_may_pull=True)
NONE = AccessLevel.NO_ACCESS
PRIVATE, INTERNAL, PUBLIC = Visibility.PRIVATE, Visibility.INTERNAL, Visibility.PUBLIC


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
        (PUBLIC, make_signed_in(is_external=True), NONE, CLOSED, True),
        (INTERNAL, make_signed_in(), NONE, CLOSED, True),
        (INTERNAL, make_signed_in(is_external=True), NONE, OPEN, False),
        (INTERNAL, make_signed_in(is_external=True), AccessLevel.GUEST, OPEN, True),
        (INTERNAL, make_signed_in(is_external=True), AccessLevel.PLANNER, CLOSED, False),
        (INTERNAL, make_signed_in(is_external=True), AccessLevel.REPORTER, CLOSED, True),
        (PRIVATE, make_signed_in(), NONE, OPEN, False),
        (PRIVATE, make_signed_in(), AccessLevel.MINIMAL, OPEN, False),
        (PRIVATE, make_signed_in(), AccessLevel.GUEST, OPEN, True),
        (PRIVATE, make_signed_in(), AccessLevel.PLANNER, CLOSED, False),
        (PRIVATE, make_signed_in(), AccessLevel.REPORTER, CLOSED, True),
        (PRIVATE, make_signed_in(is_admin=True), NONE, CLOSED, True),
        (PRIVATE, make_job(), NONE, OPEN, False),
        (PRIVATE, make_job(is_admin=True), NONE, OPEN, False),
        (PRIVATE, make_job(), AccessLevel.REPORTER, CLOSED, True),
        (INTERNAL, make_job(), NONE, CLOSED, True),
        (INTERNAL, make_job(is_external=True), NONE, CLOSED, False),
    ],
)
def test_users_jobs_and_nobody_are_shown_what_they_may_download(
    visibility: Visibility, principal: Principal, level: AccessLevel, rules: PullRules, *, expected: bool
) -> None:
    assert may_pull_through_group(principal, make_project(visibility), level, rules) is expected
    assert is_listed_in_group(principal, make_project(visibility), level, rules) is expected


@pytest.mark.parametrize(
    ("visibility", "principal", "is_listed", "is_served"),
    [
        (PRIVATE, token(of_project=2), True, True),
        (PRIVATE, token(of_group=TOP), True, True),
        (PRIVATE, token(of_group=GROUP, scope=WRITE_PACKAGES), True, True),
        (PRIVATE, token(of_group=GROUP, scope="read_repository"), False, False),
        (PRIVATE, token(of_group=ASIDE), False, False),
        (PRIVATE, token(of_project=1), False, False),
        (INTERNAL, token(of_project=1), False, True),
        (PUBLIC, token(of_group=ASIDE), False, True),
        (PUBLIC, token(of_project=2, scope="read_repository"), False, True),
    ],
)
def test_a_deploy_token_is_shown_what_it_is_for_and_downloads_what_is_open_besides(
    visibility: Visibility, principal: DeployToken, *, is_listed: bool, is_served: bool
) -> None:
    assert is_listed_in_group(principal, make_project(visibility), NONE, OPEN) is is_listed
    assert may_pull_through_group(principal, make_project(visibility), NONE, OPEN) is is_served


@pytest.mark.parametrize(
    "principal", [Anonymous(), make_signed_in(), make_signed_in(is_admin=True), make_job(), token(of_project=2)]
)
def test_a_disabled_registry_is_in_no_group(principal: Principal) -> None:
    for visibility in Visibility:
        disabled = make_project(visibility, RegistryAccess.DISABLED)
        assert not may_pull_through_group(principal, disabled, AccessLevel.OWNER, OPEN)
        assert not is_listed_in_group(principal, disabled, AccessLevel.OWNER, OPEN)


@pytest.mark.parametrize("principal", [Anonymous(), make_signed_in(), token(of_project=1)])
def test_a_private_project_that_anybody_may_pull_from_is_in_no_group(principal: Principal) -> None:
    opened = make_project(PRIVATE, RegistryAccess.PUBLIC)
    assert may_read_packages(principal, opened, NONE, OPEN)
    assert not may_pull_through_group(principal, opened, NONE, OPEN)


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        (Anonymous(), {PUBLIC}),
        (make_signed_in(is_external=True), {PUBLIC}),
        (make_signed_in(), {PUBLIC, INTERNAL}),
        (make_signed_in(is_admin=True), {PUBLIC, INTERNAL, PRIVATE}),
        (make_job(is_admin=True), {PUBLIC, INTERNAL}),
        (token(of_project=2), {PUBLIC, INTERNAL}),
    ],
)
def test_some_visibilities_are_open_to_a_caller(principal: Principal, expected: set[Visibility]) -> None:
    assert open_visibilities(principal) == expected


_PRINCIPALS = st.one_of(
    st.just(Anonymous()),
    st.builds(make_signed_in, is_admin=st.booleans(), is_external=st.booleans()),
    st.builds(make_job, is_admin=st.booleans(), is_external=st.booleans()),
    st.builds(token, of_project=st.sampled_from([1, 2]), scope=st.sampled_from([READ_PACKAGES, "read_registry"])),
    st.builds(token, of_group=st.sampled_from([TOP, ASIDE]), scope=st.just(WRITE_PACKAGES)),
)


@given(
    principal=_PRINCIPALS,
    where=st.builds(make_project, st.sampled_from(Visibility), st.sampled_from(RegistryAccess)),
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
