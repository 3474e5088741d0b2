"""Who asks and what is asked for, for tests of the access rules: records that are in no store."""

from datetime import UTC, datetime

from shared.models import (
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
from shared.principals import Job, SignedIn

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOP, GROUP, ASIDE = NamespaceId(1), NamespaceId(2), NamespaceId(3)


def make_group(visibility: Visibility = Visibility.PUBLIC) -> Namespace:
    """Return the group GROUP, which lies in the group TOP."""
    return Namespace(
        id=GROUP,
        kind=NamespaceKind.GROUP,
        parent_id=TOP,
        ancestor_ids=(TOP, GROUP),
        name="g",
        path="g",
        full_path="top/g",
        description="",
        visibility=visibility,
        created_at=NOW,
    )


def make_project(
    visibility: Visibility = Visibility.PRIVATE, registry_access: RegistryAccess = RegistryAccess.ENABLED
) -> Project:
    """Return the project 2 of the group GROUP, whose number is the same."""
    return Project(
        id=ProjectId(2),
        namespace=make_group(),
        name="p",
        path="p",
        full_path="top/g/p",
        description="",
        visibility=visibility,
        registry_access=registry_access,
        creator_id=None,
        created_at=NOW,
    )


def make_user(*, is_admin: bool = False, is_external: bool = False) -> User:
    """Return the user 1, who owns none of the namespaces above."""
    return User(
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


def make_signed_in(*, is_admin: bool = False, is_external: bool = False) -> SignedIn:
    """Return that user with a personal token."""
    return SignedIn(user=make_user(is_admin=is_admin, is_external=is_external), token_id=TokenId(1), scopes=("api",))


def make_job(*, is_admin: bool = False, is_external: bool = False) -> Job:
    """Return a job of the project above that this user started."""
    user = make_user(is_admin=is_admin, is_external=is_external)
    return Job(user=user, token_id=TokenId(2), project=make_project(), pipeline_id=PipelineId(1))
