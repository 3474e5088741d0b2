"""The whole URL table.

To add a route, write a row: its methods, its path, who may pass, and who answers. Every path is served with and without
a slash at its end, as it stands and without a redirect (twine follows none); every GET is served as HEAD too. A
`{parameter}` is one segment of the path, percent-decoded, so `a%2Fb` is one and `a/b` is two; `{parameter+}` is all
the rest, and `{parameter*}` all or nothing; before other segments, `{parameter+}` is some of them, outside the API.
Rows that are asked for most stand first.
"""

from aiohttp import hdrs, web

from services.api.body import hold_continue
from services.api.endpoint import Endpoint
from services.api.guards import (
    administrator,
    anybody_to_learn_who,
    may_pull,
    may_pull_from_group,
    may_push,
    open_to_all,
    signed_in,
    signed_in_to_learn_who,
    to_rotate_own_token,
    with_own_token,
)
from services.api.handlers import (
    audit_events,
    deploy_tokens,
    description,
    download,
    fallback,
    groups,
    health,
    instance,
    job_token_scope,
    job_tokens,
    members,
    metrics,
    name_status,
    namespaces,
    package_changes,
    package_page,
    packages,
    personal_tokens,
    projects,
    protection_rules,
    settings,
    simple,
    upload,
    user,
    users,
    yanks,
)
from services.api.package_guards import may_change_packages, may_look_at_packages, may_read_packages_of_project
from services.api.protection_guards import (
    may_change_rules,
    may_create_rules,
    may_delete_rules,
    may_list_rules,
)
from services.api.tenant_guards import (
    anybody,
    may_administer_group,
    may_administer_project,
    may_delete_project,
    may_read_deploy_tokens_of_group,
    may_see_group,
    may_see_project,
    signed_in_to_group,
    signed_in_to_project,
)

API = "/api/v4"
TOKENS = f"{API}/personal_access_tokens"
PROJECT = f"{API}/projects/{{project}}"
GROUP = f"{API}/groups/{{group}}"
PROJECT_DEPLOY_TOKENS = f"{PROJECT}/deploy_tokens"
GROUP_DEPLOY_TOKENS = f"{GROUP}/deploy_tokens"
PYPI = f"{PROJECT}/packages/pypi"
GROUP_PYPI = f"{GROUP}/-/packages/pypi"
JOB_TOKEN_SCOPE = f"{PROJECT}/job_token_scope"
PACKAGE = f"{PROJECT}/packages/{{package_id}}"
PACKAGE_FILE = f"{PACKAGE}/package_files/{{package_file_id}}"
RULES = f"{PROJECT}/packages/protection/rules"
AUDIT_EVENT = "audit_events/{audit_event_id}"
NAME_STATUS = f"{PYPI}/names/{{package_name}}/status"


ENDPOINTS = (
    Endpoint(("GET",), f"{PYPI}/simple/{{package_name+}}", may_pull, simple.page),
    Endpoint(("GET",), f"{PYPI}/simple", may_pull, simple.index),
    Endpoint(("GET",), f"{PYPI}/files/{{sha256}}/{{file_name+}}", may_pull, download.file),
    Endpoint(("GET",), f"{GROUP_PYPI}/simple/{{package_name+}}", may_pull_from_group, simple.page),
    Endpoint(("GET",), f"{GROUP_PYPI}/simple", may_pull_from_group, simple.index),
    Endpoint(("GET",), f"{GROUP_PYPI}/files/{{sha256}}/{{file_name+}}", may_pull_from_group, download.file),
    Endpoint(("POST", "PUT"), PYPI, may_push, upload.upload),
    Endpoint(("GET",), f"{PROJECT}/packages", may_read_packages_of_project, packages.index),
    Endpoint(("GET",), PACKAGE, may_read_packages_of_project, packages.show),
    Endpoint(("PUT",), PACKAGE, may_change_packages, package_changes.change_package),
    Endpoint(("DELETE",), PACKAGE, may_change_packages, package_changes.delete_package),
    Endpoint(("GET",), f"{PACKAGE}/pipelines", may_read_packages_of_project, packages.pipelines),
    Endpoint(("GET",), f"{PACKAGE}/package_files", may_read_packages_of_project, packages.files),
    Endpoint(("DELETE",), PACKAGE_FILE, may_change_packages, package_changes.delete_file),
    Endpoint(("PUT",), f"{PACKAGE}/yank", may_change_packages, yanks.yank_package),
    Endpoint(("DELETE",), f"{PACKAGE}/yank", may_change_packages, yanks.unyank_package),
    Endpoint(("PUT",), f"{PACKAGE_FILE}/yank", may_change_packages, yanks.yank_file),
    Endpoint(("DELETE",), f"{PACKAGE_FILE}/yank", may_change_packages, yanks.unyank_file),
    Endpoint(("GET",), NAME_STATUS, may_read_packages_of_project, name_status.show),
    Endpoint(("PUT",), NAME_STATUS, may_change_packages, name_status.change),
    Endpoint(("GET",), f"{PACKAGE_FILE}/download", may_read_packages_of_project, download.file_by_id),
    Endpoint(("GET",), f"{GROUP}/packages", may_see_group, packages.group_index),
    Endpoint(("GET",), PROJECT, may_see_project, projects.show),
    Endpoint(("PUT",), PROJECT, may_administer_project, projects.change),
    Endpoint(("DELETE",), PROJECT, may_delete_project, projects.delete),
    Endpoint(("GET",), f"{API}/projects", anybody, projects.show_all),
    Endpoint(("POST",), f"{API}/projects", signed_in, projects.create),
    Endpoint(("GET",), GROUP, may_see_group, groups.show),
    Endpoint(("PUT",), GROUP, may_administer_group, groups.change),
    Endpoint(("DELETE",), GROUP, may_administer_group, groups.delete),
    Endpoint(("GET",), f"{GROUP}/subgroups", may_see_group, groups.show_subgroups),
    Endpoint(("GET",), f"{GROUP}/descendant_groups", may_see_group, groups.show_descendants),
    Endpoint(("GET",), f"{GROUP}/projects", may_see_group, groups.show_projects),
    Endpoint(("GET",), f"{API}/groups", anybody, groups.show_all),
    Endpoint(("POST",), f"{API}/groups", signed_in, groups.create),
    Endpoint(("GET",), RULES, may_list_rules, protection_rules.show_all),
    Endpoint(("POST",), RULES, may_create_rules, protection_rules.create),
    Endpoint(("PATCH",), f"{RULES}/{{package_protection_rule_id}}", may_change_rules, protection_rules.change),
    Endpoint(("DELETE",), f"{RULES}/{{package_protection_rule_id}}", may_delete_rules, protection_rules.delete),
    Endpoint(("GET",), f"{PROJECT}/members/all", signed_in_to_project, members.show_effective),
    Endpoint(("GET",), f"{PROJECT}/members/all/{{user_id}}", signed_in_to_project, members.show_one_effective),
    Endpoint(("GET",), f"{PROJECT}/members", signed_in_to_project, members.show_direct),
    Endpoint(("POST",), f"{PROJECT}/members", signed_in_to_project, members.add),
    Endpoint(("GET",), f"{PROJECT}/members/{{user_id}}", signed_in_to_project, members.show_one_direct),
    Endpoint(("PUT",), f"{PROJECT}/members/{{user_id}}", signed_in_to_project, members.change),
    Endpoint(("DELETE",), f"{PROJECT}/members/{{user_id}}", signed_in_to_project, members.remove),
    Endpoint(("GET",), f"{GROUP}/members/all", signed_in_to_group, members.show_effective),
    Endpoint(("GET",), f"{GROUP}/members/all/{{user_id}}", signed_in_to_group, members.show_one_effective),
    Endpoint(("GET",), f"{GROUP}/members", signed_in_to_group, members.show_direct),
    Endpoint(("POST",), f"{GROUP}/members", signed_in_to_group, members.add),
    Endpoint(("GET",), f"{GROUP}/members/{{user_id}}", signed_in_to_group, members.show_one_direct),
    Endpoint(("PUT",), f"{GROUP}/members/{{user_id}}", signed_in_to_group, members.change),
    Endpoint(("DELETE",), f"{GROUP}/members/{{user_id}}", signed_in_to_group, members.remove),
    Endpoint(("POST",), f"{PROJECT}/job_tokens", may_administer_project, job_tokens.create),
    Endpoint(("GET",), f"{PROJECT}/job_tokens", may_administer_project, job_tokens.show_all),
    Endpoint(("DELETE",), f"{PROJECT}/job_tokens/{{token}}", signed_in, job_tokens.end),
    Endpoint(("GET",), JOB_TOKEN_SCOPE, may_administer_project, job_token_scope.show),
    Endpoint(("PATCH",), JOB_TOKEN_SCOPE, may_administer_project, job_token_scope.switch),
    Endpoint(("GET",), f"{JOB_TOKEN_SCOPE}/allowlist", may_administer_project, job_token_scope.show_projects),
    Endpoint(("POST",), f"{JOB_TOKEN_SCOPE}/allowlist", may_administer_project, job_token_scope.add_project),
    Endpoint(
        ("DELETE",),
        f"{JOB_TOKEN_SCOPE}/allowlist/{{target_project_id}}",
        may_administer_project,
        job_token_scope.remove_project,
    ),
    Endpoint(("GET",), f"{JOB_TOKEN_SCOPE}/groups_allowlist", may_administer_project, job_token_scope.show_groups),
    Endpoint(("POST",), f"{JOB_TOKEN_SCOPE}/groups_allowlist", may_administer_project, job_token_scope.add_group),
    Endpoint(
        ("DELETE",),
        f"{JOB_TOKEN_SCOPE}/groups_allowlist/{{target_group_id}}",
        may_administer_project,
        job_token_scope.remove_group,
    ),
    Endpoint(("GET",), PROJECT_DEPLOY_TOKENS, may_administer_project, deploy_tokens.show_of_source),
    Endpoint(("POST",), PROJECT_DEPLOY_TOKENS, may_administer_project, deploy_tokens.create),
    Endpoint(("GET",), f"{PROJECT_DEPLOY_TOKENS}/{{token}}", may_administer_project, deploy_tokens.show),
    Endpoint(("DELETE",), f"{PROJECT_DEPLOY_TOKENS}/{{token}}", may_administer_project, deploy_tokens.revoke),
    Endpoint(("GET",), GROUP_DEPLOY_TOKENS, may_read_deploy_tokens_of_group, deploy_tokens.show_of_source),
    Endpoint(("POST",), GROUP_DEPLOY_TOKENS, may_administer_group, deploy_tokens.create),
    Endpoint(("GET",), f"{GROUP_DEPLOY_TOKENS}/{{token}}", may_read_deploy_tokens_of_group, deploy_tokens.show),
    Endpoint(("DELETE",), f"{GROUP_DEPLOY_TOKENS}/{{token}}", may_administer_group, deploy_tokens.revoke),
    Endpoint(("GET",), f"{API}/deploy_tokens", administrator, deploy_tokens.show_all),
    Endpoint(("GET",), f"{PROJECT}/audit_events", may_administer_project, audit_events.index_of_tenant),
    Endpoint(("GET",), f"{PROJECT}/{AUDIT_EVENT}", may_administer_project, audit_events.show_of_tenant),
    Endpoint(("GET",), f"{GROUP}/audit_events", may_administer_group, audit_events.index_of_tenant),
    Endpoint(("GET",), f"{GROUP}/{AUDIT_EVENT}", may_administer_group, audit_events.show_of_tenant),
    Endpoint(("GET",), f"{API}/audit_events", administrator, audit_events.index),
    Endpoint(("GET",), f"{API}/{AUDIT_EVENT}", administrator, audit_events.show),
    Endpoint(("GET",), f"{API}/user", signed_in_to_learn_who, user.show_self),
    Endpoint(("GET",), f"{API}/users", anybody_to_learn_who, users.index),
    Endpoint(("POST",), f"{API}/users", administrator, users.create),
    Endpoint(("GET",), f"{API}/users/{{user}}", anybody_to_learn_who, users.show),
    Endpoint(("POST",), f"{API}/users/{{user}}/block", administrator, users.block),
    Endpoint(("POST",), f"{API}/users/{{user}}/unblock", administrator, users.unblock),
    Endpoint(("POST",), f"{API}/users/{{user}}/personal_access_tokens", administrator, personal_tokens.create),
    Endpoint(("GET",), TOKENS, signed_in, personal_tokens.index),
    Endpoint(("GET",), f"{TOKENS}/self", with_own_token, personal_tokens.show_own),
    Endpoint(("DELETE",), f"{TOKENS}/self", with_own_token, personal_tokens.revoke_own),
    Endpoint(("POST",), f"{TOKENS}/self/rotate", to_rotate_own_token, personal_tokens.rotate_own),
    Endpoint(("GET",), f"{TOKENS}/{{token}}", signed_in, personal_tokens.show),
    Endpoint(("DELETE",), f"{TOKENS}/{{token}}", signed_in, personal_tokens.revoke),
    Endpoint(("POST",), f"{TOKENS}/{{token}}/rotate", signed_in, personal_tokens.rotate),
    Endpoint(("GET",), f"{API}/namespaces", signed_in, namespaces.index),
    Endpoint(("GET",), f"{API}/namespaces/{{namespace}}", signed_in, namespaces.show),
    Endpoint(("GET",), f"{API}/application/settings", administrator, settings.show),
    Endpoint(("PUT",), f"{API}/application/settings", administrator, settings.change),
    Endpoint(("GET",), f"{API}/application/plan_limits", administrator, settings.show_limits),
    Endpoint(("PUT",), f"{API}/application/plan_limits", administrator, settings.change_limits),
    Endpoint(("GET",), f"{API}/version", signed_in_to_learn_who, instance.version),
    Endpoint(("GET",), f"{API}/metadata", signed_in_to_learn_who, instance.metadata),
    Endpoint(("GET",), f"{API}/openapi.json", open_to_all, description.openapi),
    Endpoint(("GET",), "/-/health", open_to_all, health.health),
    Endpoint(("GET",), "/-/liveness", open_to_all, health.liveness),
    Endpoint(("GET",), "/-/readiness", open_to_all, health.readiness),
    Endpoint(("GET",), "/-/metrics", administrator, metrics.show),
    Endpoint(("GET",), "/{project+}/-/packages/{package_id}", may_look_at_packages, package_page.show, is_page=True),
    Endpoint(("*",), "/{anything*}", open_to_all, fallback.nothing_here),
)

_TABLE = web.AppKey("endpoints", dict[web.AbstractRoute, Endpoint])


def add_routes(app: web.Application) -> None:
    """Put the whole table into the application's router."""
    table: dict[web.AbstractRoute, Endpoint] = {}
    for endpoint in ENDPOINTS:
        for path in _patterns(endpoint.path):
            for method in _with_head(endpoint.methods):
                route = app.router.add_route(method, path, endpoint.handler, expect_handler=hold_continue)
                table[route] = endpoint
    app[_TABLE] = table


def endpoint_of(request: web.Request) -> Endpoint | None:
    """Return the row that matched; None for what cannot match any, such as `OPTIONS *`."""
    return request.app[_TABLE].get(request.match_info.route)


def _patterns(path: str) -> tuple[str, ...]:
    """Return the patterns, as the router writes them, of a path with and without a slash at its end."""
    if path.endswith(("+}", "*}")):
        return (path.replace("+}", ":(?s:.+)}").replace("*}", ":(?s:.*)}"),)
    # What is wrong below the API is told as the API tells it.
    spelt = path.replace("+}", ":(?!api/)(?s:.+)}")
    return spelt, f"{spelt}/"


def _with_head(methods: tuple[str, ...]) -> tuple[str, ...]:
    return (*methods, hdrs.METH_HEAD) if hdrs.METH_GET in methods else methods
