"""Who may do what: pure functions over who asks, what is asked for, and the level that the one has in the other.

The procedures read as the contract's do. They raise the error that the caller gets, so that no caller can forget one.

Source: app/policies/project_policy.rb, app/policies/packages/policies/project_policy.rb and
lib/api/helpers/packages/basic_auth_helpers.rb of GitLab.
"""

from dataclasses import dataclass

from shared.errors import Forbidden, NotFound, Unauthenticated
from shared.models import AccessLevel, Anonymous, Principal, Project, RegistryAccess, SignedIn, Visibility


@dataclass(frozen=True, slots=True)
class PullRules:
    """The settings that decide about reads of private projects.

    Args:
        guests_may_pull: guests and planners of a private project may read its packages.
        anyone_may_pull: a private project may open its registry, and only that, to everybody.
    """

    guests_may_pull: bool
    anyone_may_pull: bool


def may_read_project(principal: Principal, project: Project, level: AccessLevel) -> bool:
    """Say whether the project exists for this caller."""
    if _is_admin(principal) or level >= AccessLevel.GUEST:
        return True
    match project.visibility:
        case Visibility.PUBLIC:
            return True
        case Visibility.INTERNAL:
            return _is_insider(principal)
        case Visibility.PRIVATE:
            return False


def may_read_packages(principal: Principal, project: Project, level: AccessLevel, rules: PullRules) -> bool:
    """Say whether the caller may list and download what the project's registry holds."""
    if project.registry_access is RegistryAccess.DISABLED:
        return False
    if project.registry_access is RegistryAccess.PUBLIC and rules.anyone_may_pull:
        return True
    if _is_admin(principal):
        return True
    if project.visibility is Visibility.PRIVATE:
        return level >= (AccessLevel.GUEST if rules.guests_may_pull else AccessLevel.REPORTER)
    return may_read_project(principal, project, level)


def may_create_packages(principal: Principal, project: Project, level: AccessLevel) -> bool:
    """Say whether the caller may upload."""
    if project.registry_access is RegistryAccess.DISABLED:
        return False
    return _is_admin(principal) or level >= AccessLevel.DEVELOPER


def require_pull(principal: Principal, project: Project, level: AccessLevel, rules: PullRules) -> None:
    """Let the caller read packages through the PyPI endpoints, or say why not.

    Raises:
        Forbidden: the caller may see the project, but not its packages.
        Unauthenticated: somebody who signs in might be let in.
        NotFound: to this caller the project does not exist.

    Source: contract, PyPI 3.1, reads.
    """
    if may_read_packages(principal, project, level, rules):
        return
    if may_read_project(principal, project, level):
        raise Forbidden
    if isinstance(principal, Anonymous):
        raise Unauthenticated
    raise NotFound


def require_push(principal: Principal, project: Project, level: AccessLevel) -> None:
    """Let the caller upload, or say why not.

    Raises:
        Unauthenticated: nobody is signed in.
        NotFound: to this caller the project does not exist.
        Forbidden: the caller may see the project, but not publish to it.

    Source: contract, PyPI 3.1, upload.
    """
    if isinstance(principal, Anonymous):
        raise Unauthenticated
    if not may_read_project(principal, project, level):
        raise NotFound
    if not may_create_packages(principal, project, level):
        raise Forbidden


def _is_admin(principal: Principal) -> bool:
    return isinstance(principal, SignedIn) and principal.user.is_admin


def _is_insider(principal: Principal) -> bool:
    return isinstance(principal, SignedIn) and not principal.user.is_external
