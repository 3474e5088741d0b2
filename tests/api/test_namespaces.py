"""Namespaces, version and metadata over HTTP."""

from typing import Any

import pytest

from shared.models import AccessLevel, Visibility
from tests.api.registry import ROOT_TOKEN, Registry

NAMESPACES = "/api/v4/namespaces"
NO_NAMESPACE = b'{"message":"404 Namespace Not Found"}'


async def add_groups(registry: Registry) -> None:
    """Add `top/team`, public both, and make the user ada a developer of `top/team` and bob owner of `top`."""
    ada, _ = await registry.add_user("ada")
    bob, _ = await registry.add_user("bob")
    async with registry.backends.store.writing() as rows:
        new: dict[str, Any] = {"description": "", "visibility": Visibility.PUBLIC}
        top = await rows.tenants.add_group(parent=None, name="The top", path="top", **new)
        team = await rows.tenants.add_group(parent=top, name="The team", path="team", **new)
        await rows.tenants.add_namespace_member(team, ada.id, level=AccessLevel.DEVELOPER, expires_at=None)
        await rows.tenants.add_namespace_member(top, bob.id, level=AccessLevel.OWNER, expires_at=None)


@pytest.mark.parametrize(
    ("token", "query", "paths"),
    [
        (ROOT_TOKEN, "", ["root", "ada", "bob", "top", "top/team"]),
        (ROOT_TOKEN, "?owned_only=true", ["root"]),
        (ROOT_TOKEN, "?search=TOP", ["top", "top/team"]),
        (ROOT_TOKEN, "?search=top&top_level_only=True", ["top"]),
        (ROOT_TOKEN, "?per_page=2&page=2", ["bob", "top"]),
        ("glpat-token-of-ada", "", ["ada", "top/team"]),
        ("glpat-token-of-ada", "?owned_only=true&search=", ["ada"]),
        ("glpat-token-of-bob", "?owned_only=true", ["bob", "top"]),
    ],
)
async def test_namespaces_are_listed(bare_registry: Registry, token: str, query: str, paths: list[str]) -> None:
    await add_groups(bare_registry)
    answer = await bare_registry.get(f"{NAMESPACES}{query}", token=token)
    assert (answer.status, [one["full_path"] for one in answer.json]) == (200, paths)


async def test_a_namespace_is_shown_by_its_number_or_path(bare_registry: Registry) -> None:
    await add_groups(bare_registry)
    team = (await bare_registry.get(f"{NAMESPACES}/TOP%2Fteam")).json
    assert team == {
        "id": team["id"],
        "name": "The team",
        "path": "team",
        "kind": "group",
        "full_path": "top/team",
        "parent_id": team["parent_id"],
        "avatar_url": None,
        "web_url": f"{bare_registry.url}/groups/top/team",
    }
    assert (await bare_registry.get(f"{NAMESPACES}/{team['id']}", token="glpat-token-of-ada")).json == team
    assert (await bare_registry.get(f"{NAMESPACES}/{team['id']}", token="glpat-token-of-bob")).json == team
    own = (await bare_registry.get(f"{NAMESPACES}/ada", token="glpat-token-of-ada")).json
    assert (own["kind"], own["parent_id"], own["web_url"]) == ("user", None, f"{bare_registry.url}/ada")


@pytest.mark.parametrize("namespace", ["top", "bob", "none", "999", "0", str(2**63), "9" * 5000, "%00", "a%2F%2Fb"])
async def test_a_namespace_without_the_caller_looks_like_none(bare_registry: Registry, namespace: str) -> None:
    await add_groups(bare_registry)
    answer = await bare_registry.get(f"{NAMESPACES}/{namespace}", token="glpat-token-of-ada")
    assert (answer.status, answer.body) == (404, NO_NAMESPACE)


@pytest.mark.parametrize("path", [NAMESPACES, f"{NAMESPACES}/1", "/api/v4/metadata", "/api/v4/version"])
async def test_they_are_for_those_who_are_signed_in(bare_registry: Registry, path: str) -> None:
    answer = await bare_registry.get(path, token=None)
    assert (answer.status, answer.body) == (401, b'{"message":"401 Unauthorized"}')


async def test_a_malformed_question_about_namespaces_is_told_so(bare_registry: Registry) -> None:
    answer = await bare_registry.get(f"{NAMESPACES}?owned_only=maybe&search=%00")
    assert (answer.status, answer.json) == (400, {"error": "search is invalid, owned_only is invalid"})


async def test_the_metadata_tells_what_runs(bare_registry: Registry) -> None:
    version = (await bare_registry.get("/api/v4/version")).json
    assert (await bare_registry.get("/api/v4/metadata")).json == {
        **version,
        "kas": {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None},
        "enterprise": False,
    }
