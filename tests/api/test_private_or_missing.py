"""What a stranger may not see is what is not there, to the byte and at every route that names a project or a group."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

import aiohttp
import pytest

from services.api.endpoint import Endpoint
from services.api.routes import ENDPOINTS
from shared.models import Visibility
from tests.api.published import CONTENT, add_deploy_token, publish
from tests.api.registry import Answer, Registry, sha256
from tests.api.tenants import add_group, add_project

OF_ITS_OWN = {"date", "x-request-id"}
"""Headers that differ from answer to answer."""
BODY = json.dumps(
    {
        "name": "x",
        "status": "archived",
        "scopes": ["read_package_registry"],
        "user_id": 1,
        "access_level": 30,
        "pipeline": {"id": 1},
        "enabled": True,
        "target_project_id": 1,
        "target_group_id": 1,
        "package_name_pattern": "x",
        "package_type": "pypi",
        "minimum_access_level_for_push": "maintainer",
    }
)
"""Whatever a writing endpoint takes, so that none is stopped by what is missing."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A project or group that is there, in private, and one that is not: each as a URL may name it."""

    hidden: str
    missing: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A registry with something private in it.

    Args:
        projects: by number and by path; those that are missing are called as long as those that are not.
        inside: what stands in a path behind the project or group: parameter -> what is there.
        strangers: what they bring.
    """

    registry: Registry
    projects: tuple[Pair, Pair]
    groups: tuple[Pair, Pair]
    inside: Mapping[str, str]
    strangers: Mapping[str, Mapping[str, str]]


@pytest.fixture
async def scene(bare_registry: Registry) -> Scene:
    registry = bare_registry
    group = await add_group(registry, "hidden", visibility=Visibility.PRIVATE)
    project = await add_project(registry, group, "secret", visibility=Visibility.PRIVATE)
    file = await publish(registry, project.id)
    _, token = await registry.add_user("stranger")
    elsewhere = await registry.add_project("elsewhere")
    deploy_token = await add_deploy_token(registry, elsewhere)
    return Scene(
        registry,
        projects=(Pair(str(project.id), str(project.id + 6)), Pair("hidden/secret", "hidden/absent")),
        groups=(Pair(str(group.id), str(group.id + 6)), Pair("hidden", "absent")),
        inside={
            "package_name": "pkg",
            "sha256": sha256(CONTENT),
            "file_name": file.file_name,
            "package_id": str(file.package_id),
            "package_file_id": str(file.id),
            "user_id": "1",
            "token": "1",
            "package_protection_rule_id": "1",
            "target_project_id": "1",
            "target_group_id": "1",
            "audit_event_id": "1",
        },
        strangers={
            "a user": {"PRIVATE-TOKEN": token},
            "a user by Basic": {"Authorization": aiohttp.encode_basic_auth("anything", token)},
            "a deploy token of elsewhere": {"Authorization": aiohttp.encode_basic_auth("ci", deploy_token)},
        },
    )


def _urls(endpoint: Endpoint, pair: Pair, inside: Mapping[str, str]) -> tuple[str, str]:
    """Return the endpoint's URL for what is hidden, and the one for what is missing."""

    def url(of: str) -> str:
        path = endpoint.path
        for name in ("project", "group"):
            path = path.replace(f"{{{name}}}", quote(of, safe="")).replace(f"{{{name}+}}", of)
        for name, value in inside.items():
            path = path.replace(f"{{{name}}}", value).replace(f"{{{name}+}}", value)
        assert "{" not in path, f"say in `inside` what stands in {endpoint.path}"
        return path

    return url(pair.hidden), url(pair.missing)


def _requests(scene: Scene) -> Iterator[tuple[str, tuple[str, str]]]:
    for endpoint in ENDPOINTS:
        of = scene.projects if "{project" in endpoint.path else scene.groups if "{group" in endpoint.path else ()
        for method in (*endpoint.methods, *(["HEAD"] if "GET" in endpoint.methods else [])):
            for pair in of:
                yield method, _urls(endpoint, pair, scene.inside)


def _told(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    return answer.status, {name: text for name, text in answer.headers.items() if name not in OF_ITS_OWN}, answer.body


async def test_a_stranger_cannot_tell_a_private_project_or_group_from_a_missing_one(scene: Scene) -> None:
    tried = 0
    for who, headers in scene.strangers.items():
        for method, urls in _requests(scene):
            body = BODY if method in ("POST", "PUT", "PATCH") else None
            sent = {**headers, **({"Content-Type": "application/json"} if body else {})}
            hidden, missing = [
                _told(await scene.registry.ask(method, url, token=None, data=body, **sent)) for url in urls
            ]
            assert hidden == missing, (who, method, urls)
            assert hidden[0] in (401, 403, 404), (who, method, urls)
            tried += 1
    assert tried > 500


@pytest.mark.slow
async def test_the_comparison_finds_what_may_be_seen(scene: Scene) -> None:
    registry = scene.registry
    group = await add_group(registry, "shown", visibility=Visibility.PUBLIC)
    shown = await add_project(registry, group, "shown", visibility=Visibility.PUBLIC)
    pair = Pair(str(shown.id), scene.projects[0].missing)
    [show] = [
        endpoint
        for endpoint in ENDPOINTS
        if endpoint.path == "/api/v4/projects/{project}" and "GET" in endpoint.methods
    ]
    hidden, missing = [
        _told(await registry.ask("GET", url, token=None, **scene.strangers["a user"]))
        for url in _urls(show, pair, scene.inside)
    ]
    assert hidden != missing
