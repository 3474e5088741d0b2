"""Who may do what: pure functions over who asks, what is asked for, and the level that the one has in the other.

The procedures read as the contract's do. They raise the error that the caller gets, so that no caller can forget one.

Source: app/policies/project_policy.rb, app/policies/packages/policies/project_policy.rb and
lib/api/helpers/packages/basic_auth_helpers.rb of GitLab.
"""

from dataclasses import dataclass

from shared.errors import Forbidden, NotFound, Unauthenticated
from shared.models import AccessLevel, Namespace, Project, RegistryAccess, User, Visibility
from shared.principals import READ_PACKAGES, WRITE_PACKAGES, Anonymous, DeployToken, Job, Principal, SignedIn


@dataclass(frozen=True, slots=True)
class PullRules:
    """The settings that decide about reads of private projects.

    Args:
        guests_may_pull: guests and planners of a private project may read its packages.
        anyone_may_pull: a private project may open its registry, and only that, to everybody.
    """

    guests_may_pull: bool
    anyone_may_pull: bool

    @property
    def lowest_level(self) -> AccessLevel:
        """Return the level from which on a member may read packages of what is private."""
        return AccessLevel.GUEST if self.guests_may_pull else AccessLevel.REPORTER


def may_read_project(principal: Principal, project: Project, level: AccessLevel) -> bool:
    """Say whether the project exists for this caller."""
    if is_admin(principal) or level >= AccessLevel.GUEST or _reaches(principal, project, _READING):
        return True
    return _is_open_to(principal, project.visibility)


def may_read_group(principal: Principal, group: Namespace, level: AccessLevel, *, is_member_below: bool) -> bool:
    """Say whether the group exists for this caller.

    Args:
        is_member_below: the caller is a member of a project or group below it; they could not find their way to that
            otherwise. Of the rest of the group they see nothing by this.
    """
    if is_admin(principal) or level >= AccessLevel.GUEST or is_member_below or _is_of(principal, group):
        return True
    return _is_open_to(principal, group.visibility)


def may_administer_project(principal: Principal, level: AccessLevel) -> bool:
    """Say whether the caller may change the project and its members."""
    return is_admin(principal) or level >= AccessLevel.MAINTAINER


def may_delete_project(principal: Principal, level: AccessLevel) -> bool:
    """Say whether the caller may delete the project."""
    return is_admin(principal) or level >= AccessLevel.OWNER


def may_administer_group(principal: Principal, level: AccessLevel) -> bool:
    """Say whether the caller may change the group and its members, and delete it."""
    return is_admin(principal) or level >= AccessLevel.OWNER


def may_read_group_deploy_tokens(principal: Principal, level: AccessLevel) -> bool:
    """Say whether the caller may see which deploy tokens the group has; only owners make and revoke them."""
    return is_admin(principal) or level >= AccessLevel.MAINTAINER


def may_grant(principal: Principal, level: AccessLevel, granted: AccessLevel) -> bool:
    """Say whether who administers at this level may give that level to others, or take it from them."""
    return is_admin(principal) or granted <= level


def may_read_packages(principal: Principal, project: Project, level: AccessLevel, rules: PullRules) -> bool:
    """Say whether the caller may list and download what the project's registry holds."""
    if project.registry_access is RegistryAccess.DISABLED:
        return False
    if project.registry_access is RegistryAccess.PUBLIC and rules.anyone_may_pull:
        return True
    if is_admin(principal) or _reaches(principal, project, _READING):
        return True
    if project.packages_visibility is Visibility.PRIVATE:
        return level >= rules.lowest_level
    return may_read_project(principal, project, level)


def may_read_group_packages(principal: Principal, group: Namespace, level: AccessLevel, rules: PullRules) -> bool:
    """Say whether the caller may ask the group for the packages of its projects.

    Neither a membership below the group nor one's being an insider suffices, nor a deploy token of a group above it.

    Source: app/policies/packages/policies/group_policy.rb.
    """
    if is_admin(principal) or _is_of(principal, group) or level >= rules.lowest_level:
        return True
    return group.visibility is Visibility.PUBLIC


def may_pull_through_group(principal: Principal, project: Project, level: AccessLevel, rules: PullRules) -> bool:
    """Say whether the caller may pull packages of the project from a group that it lies in.

    That anybody may pull from the project opens the project's own pages, and those of no group.

    Source: contract, PyPI 4.3. GitLab asks this of pages only, and gives out the files of all projects of the group.
    """
    if project.registry_access is RegistryAccess.DISABLED:
        return False
    if is_admin(principal) or _reaches(principal, project, _READING) or level >= rules.lowest_level:
        return True
    return _is_open_to(principal, project.packages_visibility)


def is_listed_in_group(principal: Principal, project: Project, level: AccessLevel, rules: PullRules) -> bool:
    """Say whether the pages that the caller gets of a group show the packages of a project that lies in it.

    Those of a deploy token show what the token is for, and nothing that it may pull as others may.

    Source: contract, PyPI 4.3. GitLab shows a token's projects on the pages of every group that it may read.
    """
    if isinstance(principal, DeployToken) and not _reaches(principal, project, _READING):
        return False
    return may_pull_through_group(principal, project, level, rules)


def open_visibilities(principal: Principal) -> frozenset[Visibility]:
    """Return the visibilities of those projects that are there for the caller, whatever their level in them."""
    return frozenset(one for one in Visibility if is_admin(principal) or _is_open_to(principal, one))


def may_create_packages(principal: Principal, project: Project, level: AccessLevel) -> bool:
    """Say whether the caller may upload."""
    if project.registry_access is RegistryAccess.DISABLED:
        return False
    return is_admin(principal) or level >= AccessLevel.DEVELOPER or _reaches(principal, project, _WRITING)


def level_of_job(job: Job, level: AccessLevel, *, is_let_in: bool) -> AccessLevel:
    """Return the level that a job has somewhere.

    Args:
        level: that of its user.
        is_let_in: the place admits jobs of this one's project. Where it does not, a job is a user without any level,
            be the user an administrator: it still sees what everybody, or every insider, sees.

    Source: contract, PyPI 2.2.
    """
    if not is_let_in:
        return AccessLevel.NO_ACCESS
    return AccessLevel.OWNER if job.user.is_admin else level


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


def require_group_pull(
    principal: Principal, group: Namespace, level: AccessLevel, rules: PullRules, *, is_member_below: bool
) -> None:
    """Let the caller read the packages of a group's projects through the PyPI endpoints, or say why not.

    Args:
        is_member_below: as of `may_read_group`.

    Raises:
        Unauthenticated: somebody who signs in might be let in.
        NotFound: to this caller the group does not exist.
        Forbidden: the caller may see the group, but not its packages.

    Source: contract, PyPI 3.5.
    """
    if may_read_group_packages(principal, group, level, rules):
        return
    if isinstance(principal, Anonymous):
        raise Unauthenticated
    if may_read_group(principal, group, level, is_member_below=is_member_below):
        raise Forbidden
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


def is_admin(principal: Principal) -> bool:
    """Say whether the caller may do everything. A job never may: it has its user's level where it is let in."""
    return isinstance(principal, SignedIn) and principal.user.is_admin


def is_insider(principal: Principal) -> bool:
    """Say whether what is internal is there for this caller."""
    match principal:
        case SignedIn(user=user) | Job(user=user):
            return not user.is_external
        case DeployToken():
            return True
        case Anonymous():
            return False


def may_own_namespaces(user: User) -> bool:
    """Say whether the user may have groups at the top, and projects of their own.

    Whoever is external works in what others have let them into: else anybody who was let in for one project could take
    names that all take for the registry's own.

    Source: set_user_attributes_if_external of app/models/user.rb.
    """
    return user.is_admin or not user.is_external


def has_package_scope(token: DeployToken) -> bool:
    """Say whether a deploy token is one for packages at all."""
    return not _READING.isdisjoint(token.scopes)


_READING = frozenset({READ_PACKAGES, WRITE_PACKAGES})
_WRITING = frozenset({WRITE_PACKAGES})


def _reaches(principal: Principal, project: Project, scopes: frozenset[str]) -> bool:
    """Say whether a deploy token with one of these scopes is for the project, or for a group that it lies in."""
    if not isinstance(principal, DeployToken) or scopes.isdisjoint(principal.scopes):
        return False
    return principal.project_id == project.id or principal.namespace_id in project.namespace.ancestor_ids


def _is_of(principal: Principal, group: Namespace) -> bool:
    """Say whether a deploy token for packages is this very group's."""
    return isinstance(principal, DeployToken) and has_package_scope(principal) and principal.namespace_id == group.id


def _is_open_to(principal: Principal, visibility: Visibility) -> bool:
    match visibility:
        case Visibility.PUBLIC:
            return True
        case Visibility.INTERNAL:
            return is_insider(principal)
        case Visibility.PRIVATE:
            return False


def may_administer_packages(principal: Principal, project: Project, level: AccessLevel) -> bool:
    """Say whether the caller may delete packages, set their status, and make the rules that protect them.

    Source: `destroy_package` and `admin_package` in app/policies/project_policy.rb.
    """
    if project.registry_access is RegistryAccess.DISABLED:
        return False
    return is_admin(principal) or level >= AccessLevel.MAINTAINER


def may_read_packages_api(principal: Principal, project: Project, level: AccessLevel, rules: PullRules) -> bool:
    """Say whether the caller may read the project's packages through the Packages API.

    That a registry is open to everybody opens only what installers ask for, and a deploy token opens nothing here.

    Source: contract, Packages 1.4 and 7.
    """
    if project.registry_access is RegistryAccess.DISABLED:
        return False
    if is_admin(principal) or _is_open_to(principal, project.packages_visibility):
        return True
    return level >= rules.lowest_level


def require_packages_api_read(principal: Principal, project: Project, level: AccessLevel, rules: PullRules) -> None:
    """Let the caller read packages through the Packages API, or say why not.

    Raises:
        NotFound: "Project": to this caller the project does not exist.
        Forbidden: the caller may see the project, but not its packages; or is a job, which is told so in any case.

    Source: contract, Packages 7, column R; handle_job_token_failure! in lib/api/helpers.rb.
    """
    if not may_read_project(principal, project, level):
        if isinstance(principal, Job):
            way = f"from {principal.project.path} to {project.path}"
            raise Forbidden(f"Authentication by CI/CD job token not allowed {way}.")
        raise NotFound("Project")
    if not may_read_packages_api(principal, project, level, rules):
        raise Forbidden
