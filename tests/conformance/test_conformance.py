"""Larder's own index under every clause; `python -m tests.conformance` asks the same of any other index."""

import asyncio
import json
from collections.abc import Iterable

import pytest

from tests.api.conftest import bare_registry, environment, registry, settings
from tests.api.registry import ROOT_TOKEN, Registry, sha256
from tests.api.tenants import add_group, add_project
from tests.attestations import attestation, statement
from tests.backends import sqlite_template
from tests.conformance import pages, transfer
from tests.conformance.clauses import Clause, Demand, Finding, Outcome, find, table
from tests.conformance.reader import Index
from tests.distributions import build_sdist, build_wheel
from tests.redis_server import redis_is_given_time, redis_server

__all__ = [
    "bare_registry",
    "environment",
    "redis_is_given_time",
    "redis_server",
    "registry",
    "settings",
    "sqlite_template",
]

NAME = "a-package"
STATUS = f"/pypi/names/{NAME}/status"
REASON = 'use <another> & "better" one'


@pytest.fixture
async def published(registry: Registry) -> Registry:
    """Give a registry with two versions of a package, a wheel and an sdist."""
    for version, requires_python in (("1.0", ">=3.8,<4"), ("2.0", ">=3.9")):
        await publish_wheel(registry, registry.project_id, version, requires_python)
    answer = await registry.upload(
        build_sdist("a_package", "2.0"), file_name="a_package-2.0.tar.gz", name="A.Package", version="2.0"
    )
    assert answer.status == 201, answer.body
    await say(registry, registry.project_id, STATUS, {"status": "deprecated", "reason": REASON})
    await yank_some(registry)
    return registry


async def publish_wheel(registry: Registry, project_id: int, version: str, requires_python: str) -> None:
    """Upload a wheel, with an attestation of it."""
    content = build_wheel("a_package", version, requires_python=requires_python)
    file_name = f"a_package-{version}-py3-none-any.whl"
    attestations = json.dumps([attestation(statement(file_name, sha256(content)))])
    answer = await registry.upload(
        content, file_name=file_name, name="A.Package", version=version, to=project_id, attestations=attestations
    )
    assert answer.status == 201, answer.body


async def say(registry: Registry, project_id: int, path: str, body: dict[str, str]) -> None:
    """Set what the Packages API has at this path."""
    url = f"/api/v4/projects/{project_id}/packages{path}"
    answer = await registry.ask("PUT", url, data=json.dumps(body).encode(), Content_Type="application/json")
    assert answer.status == 200, answer.body


async def yank_some(registry: Registry) -> None:
    """Yank a release for a reason, and of another one a single file without any."""
    packages = f"/api/v4/projects/{registry.project_id}/packages"
    first, second = (package["id"] for package in (await registry.get(packages)).json)
    await say(registry, registry.project_id, f"/{first}/yank", {"reason": REASON})
    file, *_ = (await registry.get(f"{packages}/{second}/package_files")).json
    await say(registry, registry.project_id, f"/{second}/package_files/{file['id']}/yank", {})


async def findings_of(index: Index, clauses: Iterable[Clause]) -> list[Finding]:
    return [await asyncio.to_thread(find, clause, index) for clause in clauses]


def check(findings: list[Finding]) -> None:
    """Nothing is broken, and there is something of all that the clauses speak of."""
    report = table(findings)
    assert not [one for one in findings if one.outcome is Outcome.BROKEN], report
    assert not [one for one in findings if one.outcome is Outcome.ABSENT], report


async def test_the_index_of_a_project_keeps_every_clause(published: Registry) -> None:
    index = Index(f"{published.pypi}/simple/", NAME, ("anybody", ROOT_TOKEN))
    check(await findings_of(index, (*pages.CLAUSES, *transfer.CLAUSES)))


async def test_the_index_of_a_group_keeps_every_clause(registry: Registry) -> None:
    """The same files, from two projects; nothing is absent that a project's index has."""
    group = await add_group(registry, "team")
    projects = []
    for path, version in (("one", "1.0"), ("other", "2.0")):
        project = await add_project(registry, await add_group(registry, path, parent=group), "app")
        await publish_wheel(registry, project.id, version, ">=3.8,<4")
        await say(registry, project.id, STATUS, {"status": "deprecated", "reason": REASON})
        projects.append(project)
    (package,) = (await registry.get(f"/api/v4/projects/{projects[0].id}/packages")).json
    await say(registry, projects[0].id, f"/{package['id']}/yank", {"reason": REASON})
    url = f"{registry.url}/api/v4/groups/{group.id}/-/packages/pypi/simple/"
    check(await findings_of(Index(url, NAME, ("anybody", ROOT_TOKEN)), (*pages.CLAUSES, *transfer.CLAUSES)))

    for project in projects:
        await say(registry, project.id, STATUS, {"status": "quarantined", "reason": REASON})
    await check_status(Index(url, NAME, ("anybody", ROOT_TOKEN)))


async def test_a_quarantined_name_keeps_the_clauses_about_its_status(published: Registry) -> None:
    await say(published, published.project_id, STATUS, {"status": "quarantined", "reason": REASON})
    await check_status(Index(f"{published.pypi}/simple/", NAME, ("anybody", ROOT_TOKEN)))


async def check_status(index: Index) -> None:
    findings = await findings_of(index, [clause for clause in pages.CLAUSES if clause.source == "PEP 792"])
    assert [one.outcome for one in findings] == [Outcome.KEPT] * 3, table(findings)


async def test_an_index_that_breaks_a_clause_is_found_out(published: Registry) -> None:
    index = Index(f"{published.url}/-/", "health", None)
    findings = await findings_of(index, pages.CLAUSES)
    broken = [one for one in findings if one.outcome is Outcome.BROKEN]
    assert len(broken) > len(findings) / 2
    assert any(one.clause.demand is Demand.MUST for one in broken)
