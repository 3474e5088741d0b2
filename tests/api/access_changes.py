"""The requests that change who may do what, with what has to be told of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.api.routes import API, GROUP, PROJECT, RULES, TOKENS

FORWARDING = "pypi_package_requests_forwarding"


@dataclass(frozen=True, slots=True)
class Write:
    """A request that changes access, and what has to be told of it.

    Args:
        endpoint: method and path, as the URL table has them.
        names: what stands in the path: parameter -> place.
        by: whose token it comes with.
        target: with what the answer's body says in braces, or with a place in angle brackets.
        project: likewise, what is told beside the target.
        namespace: likewise.
        details: None: they are not looked at.
        refused: as whom else it is tried in vain, and what the status is then, beside a token of the same user that may
            only read; None where everybody may. It is always tried without a token.
    """

    endpoint: tuple[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    by: str = "root"
    status: int = 200
    action: str = ""
    target: str = ""
    project: str = ""
    namespace: str = ""
    details: Mapping[str, Any] | None = None
    refused: tuple[str, int] | None = ("stranger", 403)


def _members(path: str, source: Mapping[str, str], *, project: str = "", namespace: str = "") -> list[Write]:
    return [
        Write(
            ("POST", f"{path}/members"),
            source,
            body={"user_id": "<stranger>", "access_level": 30},
            by="owner",
            status=201,
            action="member.added",
            target="user:<stranger>",
            details={"level": 30, "expires_at": None},
            refused=("member", 403),
            project=project,
            namespace=namespace,
        ),
        Write(
            ("PUT", f"{path}/members/{{user_id}}"),
            {**source, "user_id": "member"},
            body={"access_level": 20, "expires_at": "2100-01-01"},
            by="owner",
            action="member.changed",
            target="user:<member>",
            details={"level": 20, "expires_at": "2100-01-01T00:00:00+00:00"},
            refused=("stranger", 404 if path == PROJECT else 403),
            project=project,
            namespace=namespace,
        ),
        Write(
            ("DELETE", f"{path}/members/{{user_id}}"),
            {**source, "user_id": "leaver"},
            by="owner",
            status=204,
            action="member.removed",
            target="user:<leaver>",
            details={"level": 10, "expires_at": None},
            refused=("member", 403),
            project=project,
            namespace=namespace,
        ),
    ]


def _deploy_tokens(path: str, source: Mapping[str, str], *, project: str = "", namespace: str = "") -> list[Write]:
    told = {"name": "ci", "username": "ci", "scopes": "read_package_registry", "expires_at": None}
    (place,) = source.values()
    return [
        Write(
            ("POST", f"{path}/deploy_tokens"),
            source,
            body={"name": "ci", "username": "ci", "scopes": ["read_package_registry"]},
            by="owner",
            status=201,
            action="deploy_token.created",
            target="deploy_token:{id}",
            details=told,
            refused=("member", 403),
            project=project,
            namespace=namespace,
        ),
        Write(
            ("DELETE", f"{path}/deploy_tokens/{{token}}"),
            {**source, "token": f"deploy token of {place}"},
            by="owner",
            status=204,
            action="deploy_token.revoked",
            target=f"deploy_token:<deploy token of {place}>",
            details=told,
            refused=("member", 403),
            project=project,
            namespace=namespace,
        ),
    ]


WRITES = [
    Write(
        ("POST", f"{API}/users"),
        body={"email": "new@localhost", "username": "new", "name": "New", "force_random_password": True},
        status=201,
        action="user.created",
        target="user:{id}",
        namespace="{namespace_id}",
        details={"username": "new", "is_admin": False, "is_external": False},
    ),
    Write(
        ("POST", f"{API}/users/{{user}}/block"),
        {"user": "active"},
        status=201,
        action="user.blocked",
        target="user:<active>",
    ),
    Write(
        ("POST", f"{API}/users/{{user}}/unblock"),
        {"user": "blocked"},
        status=201,
        action="user.unblocked",
        target="user:<blocked>",
    ),
    Write(
        ("POST", f"{API}/users/{{user}}/personal_access_tokens"),
        {"user": "member"},
        body={"name": "laptop", "scopes": ["api", "read_api"], "expires_at": "2100-01-01"},
        status=201,
        action="access_token.created",
        target="access_token:{id}",
        details={
            "user_id": "<member>",
            "name": "laptop",
            "scopes": "api read_api",
            "expires_at": "2100-01-01T00:00:00+00:00",
        },
    ),
    Write(
        ("DELETE", f"{TOKENS}/{{token}}"),
        {"token": "token of owner to revoke"},
        by="owner",
        status=204,
        action="access_token.revoked",
        target="access_token:<token of owner to revoke>",
        refused=("stranger", 400),
    ),
    Write(
        ("POST", f"{TOKENS}/{{token}}/rotate"),
        {"token": "token of owner to rotate"},
        by="owner",
        action="access_token.rotated",
        target="access_token:{id}",
        refused=("stranger", 401),
    ),
    Write(
        ("DELETE", f"{TOKENS}/self"),
        by="revoker",
        status=204,
        action="access_token.revoked",
        target="access_token:<token of revoker>",
        refused=None,
    ),
    Write(
        ("POST", f"{TOKENS}/self/rotate"),
        by="rotator",
        action="access_token.rotated",
        target="access_token:{id}",
        refused=None,
    ),
    Write(
        ("POST", f"{API}/groups"),
        body={"name": "Sub", "path": "new-sub", "parent_id": "<team>"},
        by="owner",
        status=201,
        action="group.created",
        target="group:{id}",
        namespace="{id}",
        details={"full_path": "team/new-sub", "visibility": "private"},
    ),
    Write(
        ("PUT", GROUP),
        {"group": "team"},
        body={FORWARDING: True, "description": "a secret of ours"},
        by="owner",
        action="group.changed",
        target="group:<team>",
        namespace="<team>",
        details={"description": "changed", "forwarding": "on"},
    ),
    Write(
        ("DELETE", GROUP),
        {"group": "old group"},
        by="owner",
        status=202,
        action="group.deleted",
        target="group:<old group>",
        namespace="<old group>",
        details={"full_path": "team/old"},
        refused=("stranger", 404),
    ),
    Write(
        ("POST", f"{API}/projects"),
        body={"path": "new", "namespace_id": "<team>"},
        by="owner",
        status=201,
        action="project.created",
        target="project:{id}",
        project="{id}",
        namespace="<team>",
        details={"full_path": "team/new", "visibility": "private"},
        refused=("stranger", 400),
    ),
    Write(
        ("PUT", PROJECT),
        {"project": "app"},
        body={"visibility": "internal", "package_registry_access_level": "private"},
        by="owner",
        action="project.changed",
        target="project:<app>",
        project="<app>",
        namespace="<team>",
        details={"visibility": "internal", "registry_access": "private"},
        refused=("stranger", 404),
    ),
    Write(
        ("DELETE", PROJECT),
        {"project": "old project"},
        by="owner",
        status=202,
        action="project.deleted",
        target="project:<old project>",
        project="<old project>",
        namespace="<team>",
        details={"full_path": "team/old-project"},
        refused=("member", 403),
    ),
    *_members(PROJECT, {"project": "app"}, project="<app>"),
    *_members(GROUP, {"group": "team"}, namespace="<team>"),
    *_deploy_tokens(PROJECT, {"project": "app"}, project="<app>"),
    *_deploy_tokens(GROUP, {"group": "team"}, namespace="<team>"),
    Write(
        ("POST", RULES),
        {"project": "app"},
        body={
            "package_name_pattern": "new-*",
            "package_type": "pypi",
            "minimum_access_level_for_push": "owner",
        },
        by="owner",
        status=201,
        action="protection_rule.created",
        target="protection_rule:{id}",
        project="<app>",
        details={
            "package_name_pattern": "new-*",
            "package_type": "pypi",
            "minimum_access_level_for_push": "owner",
            "minimum_access_level_for_delete": None,
        },
        refused=("member", 403),
    ),
    Write(
        ("PATCH", f"{RULES}/{{package_protection_rule_id}}"),
        {"project": "app", "package_protection_rule_id": "rule"},
        body={"minimum_access_level_for_push": "admin"},
        by="owner",
        action="protection_rule.changed",
        target="protection_rule:<rule>",
        project="<app>",
        details={
            "package_name_pattern": "mine-*",
            "package_type": "pypi",
            "minimum_access_level_for_push": "admin",
            "minimum_access_level_for_delete": None,
        },
        refused=("member", 403),
    ),
    Write(
        ("DELETE", f"{RULES}/{{package_protection_rule_id}}"),
        {"project": "app", "package_protection_rule_id": "old rule"},
        by="owner",
        status=204,
        action="protection_rule.deleted",
        target="protection_rule:<old rule>",
        project="<app>",
        refused=("member", 403),
    ),
    Write(
        ("PUT", f"{API}/application/settings"),
        body={"allow_guest_plus_roles_to_pull_packages": False},
        action="instance_settings.changed",
        target="instance",
        details={"allow_guest_plus_roles_to_pull_packages": False},
    ),
    Write(
        ("PUT", f"{API}/application/plan_limits"),
        body={"plan_name": "default", "pypi_max_file_size": 7},
        action="instance_settings.changed",
        target="instance",
        details={"pypi_max_file_size": 7},
    ),
]
