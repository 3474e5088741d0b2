"""HEAD on every route: the head of the GET and nothing else; and what every head has in common."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from services.api.routes import ENDPOINTS
from shared.models import AccessLevel
from tests.api.published import publish
from tests.api.registry import ROOT_TOKEN, Answer, Registry
from tests.distributions import core_metadata

# What tells two answers apart though they are the same.
_OWN = {"date", "x-request-id"}
_NOT_FOUND = {"/{anything*}"}
_COUNTS_ITSELF = {"/-/metrics"}
_PRIVATE = re.compile(r"\b(private|no-store)\b")


async def _paths(registry: Registry) -> dict[str, str]:
    """Return every path that is got, as the table writes it -> with something in its place that is there."""
    project = await registry.add_project("app")
    user, _ = await registry.add_user("someone")
    await registry.add_member(project, user, AccessLevel.DEVELOPER)
    wheel = "pkg-1.0-py3-none-any.whl"
    file = await publish(registry, project.id, file_name=wheel, metadata=core_metadata("pkg", "1.0"))
    in_group = {"user_id": user.id, "access_level": int(AccessLevel.GUEST)}
    assert (await registry.post_json(f"/api/v4/groups/{project.namespace.id}/members", in_group)).status == 201
    of_project = await _deploy_token(registry, f"/api/v4/projects/{project.id}")
    of_group = await _deploy_token(registry, f"/api/v4/groups/{project.namespace.id}")
    (personal,) = (await registry.get("/api/v4/personal_access_tokens?user_id=1")).json
    known = {
        "package_name+": "pkg",
        "package_name": "pkg",
        "package_id": file.package_id,
        "package_file_id": file.id,
        "sha256": file.sha256,
        "file_name+": wheel,
        "user_id": user.id,
        "user": user.id,
        "namespace": project.namespace.id,
        "project+": project.full_path,
        "project": project.id,
        "group": project.namespace.id,
        "anything*": "nothing/here",
    }
    tokens = {"/projects/": of_project, "/groups/": of_group, "/personal_access_tokens/": personal["id"]}
    sources = {"/projects/": f"projects/{project.id}/", "/groups/": f"groups/{project.namespace.id}/", "/audit": ""}
    events = {start: await _newest_event(registry, source) for start, source in sources.items()}
    found = {}
    for path in (endpoint.path for endpoint in ENDPOINTS if {"GET", "*"} & set(endpoint.methods)):
        of_path = {"token": _of(path, tokens), "audit_event_id": _of(path, events)}
        found[path] = re.sub(r"\{([^}]+)\}", partial(_value, {**known, **of_path}), path)
    return found


def _of(path: str, ids: Mapping[str, int]) -> int | None:
    return next((one for start, one in ids.items() if start in path), None)


async def _newest_event(registry: Registry, source: str) -> int:
    return int((await registry.get(f"/api/v4/{source}audit_events")).json[0]["id"])


def _value(known: dict[str, Any], name: re.Match[str]) -> str:
    return str(known[name[1]])


async def _deploy_token(registry: Registry, source: str) -> int:
    made = await registry.post_json(f"{source}/deploy_tokens", {"name": "ci", "scopes": ["read_package_registry"]})
    assert made.status == 201, made.body
    return int(made.json["id"])


def _head(answer: Answer, path: str) -> dict[str, str]:
    own = _OWN | ({"content-length"} if path in _COUNTS_ITSELF else set())
    return {name: value for name, value in answer.headers.items() if name not in own}


@pytest.fixture
def environment() -> dict[str, str]:
    return {"LARDER_EXTERNAL_URL": "https://packages.example"}


async def _require_parity(
    registry: Registry, path: str, url: str, *, token: str | None = ROOT_TOKEN, **sent: str
) -> Answer:
    """Compare the HEAD with the GET before and the GET after it: when something was used last is noted meanwhile."""
    before = await registry.get(url, token=token, **sent)
    head = await registry.ask("HEAD", url, token=token, **sent)
    after = await registry.get(url, token=token, **sent)
    assert head.body == b"", path
    assert (head.status, _head(head, path)) in [(got.status, _head(got, path)) for got in (before, after)], path
    return after


async def test_a_head_has_the_status_and_head_of_the_get_on_every_route(bare_registry: Registry) -> None:
    for path, url in (await _paths(bare_registry)).items():
        got = await _require_parity(bare_registry, path, url)
        assert got.status == (404 if path in _NOT_FOUND else 200) or path == "/-/readiness", (path, got.body)
        await _require_parity(bare_registry, path, url, Accept_Encoding="gzip", Accept="application/json")
        if "etag" in got.headers:
            known = await _require_parity(bare_registry, path, url, If_None_Match=got.headers["etag"])
            assert known.status == 304, path


async def test_so_it_has_where_the_get_is_refused(bare_registry: Registry) -> None:
    for path, url in (await _paths(bare_registry)).items():
        await _require_parity(bare_registry, path, url, token=None)


async def test_no_shared_cache_may_keep_what_somebody_was_shown_of_a_private_project(bare_registry: Registry) -> None:
    for path, url in (await _paths(bare_registry)).items():
        for token in (ROOT_TOKEN, None):
            answer = await bare_registry.get(url, token=token)
            assert _PRIVATE.search(answer.headers.get("cache-control", "")), (path, answer.status)
