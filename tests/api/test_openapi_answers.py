"""Whatever the API's description of itself allows to send, the answer is no 5xx and is what that description says.

Each operation is tried in a group of its own, in which there is one of everything, so that none takes away what another
needs; and with a token of its own, which it may well revoke.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.models import AccessLevel, User
from shared.usecases.token_secrets import digest_of
from tests.api.published import publish
from tests.api.registry import Registry
from tests.api.tenants import add_group, add_project

Operation = APIOperation[Any, Any, Any, Any]

DOCUMENT = "/api/v4/openapi.json"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 10
_RULES = "packages/protection/rules"
_THINGS: Mapping[str, Mapping[str, Any]] = {
    _RULES: {"package_name_pattern": "my-*", "package_type": "pypi", "minimum_access_level_for_push": "owner"},
    "deploy_tokens": {"name": "ci", "scopes": ["read_package_registry"]},
    "job_tokens": {"pipeline": {"id": 7, "sha": "0" * 40, "ref": "main"}},
}
"""What a project has, and is made by an administrator."""
PRINCIPALS = ("administrator", "maintainer", "nobody")


@pytest.fixture
def environment() -> dict[str, str]:
    # Credentials are made up, too, and most of the requests should get further than that.
    return {"LARDER_AUTH_FAILURES_PER_MINUTE": "100000"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_what_the_description_allows_is_answered_as_it_says(registry: Registry, principal: str) -> None:
    async with registry.backends.store.reading() as rows:
        root = await rows.tenants.user_by_username("root")
    assert root is not None
    maintainer, _ = await registry.add_user("maintainer")
    caller = {"administrator": root, "maintainer": maintainer, "nobody": None}[principal]
    schema = await asyncio.to_thread(schemathesis.openapi.from_url, f"{registry.url}{DOCUMENT}")
    failures: list[str] = []
    for number, found in enumerate(schema.get_all_operations()):
        assert isinstance(found, Ok), found
        operation = found.ok()
        known = await _furnish(registry, maintainer, operation.path, number)
        headers = {}
        if caller is not None:
            headers["PRIVATE-TOKEN"], _ = await _add_token(registry, caller, f"token-for-operation-{number}")
        failures += await asyncio.to_thread(_try, operation, known, headers)
    assert failures == []


async def _furnish(registry: Registry, maintainer: User, path: str, number: int) -> dict[str, str]:
    """Make a group with one of everything in it, and return what stands for each parameter of a path."""
    group = await add_group(registry, f"group-{number}")
    project = await add_project(registry, group, "project")
    other, _ = await registry.add_user(f"user-{number}")
    await registry.add_member(project, other, AccessLevel.DEVELOPER)
    await registry.add_member(project, maintainer, AccessLevel.MAINTAINER)
    file = await publish(registry, project.id)
    api = f"/api/v4/projects/{project.id}"
    made = {name: str((await _made(registry, f"{api}/{name}", body))["id"]) for name, body in _THINGS.items()}
    _, personal = await _add_token(registry, other, f"another-token-{number}")
    [event, *_] = (await registry.get(f"{api}/audit_events")).json
    return {
        "project": str(project.id),
        "group": str(group.id),
        "namespace": str(group.id),
        "user": str(other.id),
        "user_id": str(other.id),
        "package_id": str(file.package_id),
        "package_file_id": str(file.id),
        "package_name": "pkg",
        "sha256": file.sha256 or "",
        "file_name": file.file_name,
        "package_protection_rule_id": made[_RULES],
        "audit_event_id": str(event["id"]),
        "token": made.get(path.split("/")[-2], personal),
    }


async def _made(registry: Registry, path: str, body: Mapping[str, Any]) -> Any:
    answer = await registry.post_json(path, body)
    assert answer.status == 201, answer.body
    return answer.json


async def _add_token(registry: Registry, user: User, name: str) -> tuple[str, str]:
    """Return the secret and the id of a new token that may do all that its user may."""
    async with registry.backends.store.writing() as rows:
        token = await rows.tokens.add_personal(
            user.id, digest=digest_of(f"glpat-{name}"), name=name, scopes=("api",), expires_at=None
        )
    return f"glpat-{name}", str(token.id)


def _try(operation: Operation, known: Mapping[str, str], headers: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the answers."""
    failures: list[str] = []

    @given(case=operation.as_strategy(), is_known=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any, *, is_known: bool) -> None:
        if is_known:
            case.path_parameters |= {name: value for name, value in known.items() if name in case.path_parameters}
        response = case.call(headers=headers, timeout=30, allow_redirects=False)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            failures.extend(f"{operation.label}: {response.status_code}: {failure}" for failure in group.exceptions)

    check()
    return failures
