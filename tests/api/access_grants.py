"""The requests that say who may do what in a project or group, with what has to be told of each."""

from collections.abc import Mapping

from services.api.routes import GROUP, JOB_TOKEN_SCOPE, PROJECT, RULES
from tests.api.audited_write import Write


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


def _allowlist(name: str, kind: str) -> list[Write]:
    return [
        Write(
            ("POST", f"{JOB_TOKEN_SCOPE}/{name}"),
            {"project": "app"},
            body={f"target_{kind}_id": f"<other {kind}>"},
            by="owner",
            status=201,
            action="job_token_scope.added",
            target="project:<app>",
            project="<app>",
            details={"target": f"{kind}:<other {kind}>"},
            refused=("member", 403),
        ),
        Write(
            ("DELETE", f"{JOB_TOKEN_SCOPE}/{name}/{{target_{kind}_id}}"),
            {"project": "app", f"target_{kind}_id": f"allowed {kind}"},
            by="owner",
            status=204,
            action="job_token_scope.removed",
            target="project:<app>",
            project="<app>",
            details={"target": f"{kind}:<allowed {kind}>"},
            refused=("member", 403),
        ),
    ]


ACCESS_GRANTS = [
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
        ("POST", f"{PROJECT}/job_tokens"),
        {"project": "app"},
        body={"pipeline": {"id": 7}},
        by="owner",
        status=201,
        action="job_token.created",
        target="job_token:{id}",
        project="<app>",
        refused=("member", 403),
    ),
    Write(
        ("DELETE", f"{PROJECT}/job_tokens/{{token}}"),
        {"project": "app", "token": "job token"},
        by="owner",
        status=204,
        action="job_token.revoked",
        target="job_token:<job token>",
        project="<app>",
        refused=("member", 403),
    ),
    Write(
        ("PATCH", JOB_TOKEN_SCOPE),
        {"project": "app"},
        body={"enabled": False},
        by="owner",
        status=204,
        action="job_token_scope.disabled",
        target="project:<app>",
        project="<app>",
        details={},
        refused=("member", 403),
    ),
    *_allowlist("allowlist", "project"),
    *_allowlist("groups_allowlist", "group"),
]
