"""Larder's own index under every clause; `python -m tests.conformance` asks the same of any other index."""

import asyncio
import json

import pytest

from tests.api.conftest import bare_registry, environment, registry, settings
from tests.api.registry import ROOT_TOKEN, Registry
from tests.backends import sqlite_template
from tests.conformance import pages, transfer
from tests.conformance.clauses import Demand, Outcome, find, table
from tests.conformance.reader import Index
from tests.distributions import build_sdist, build_wheel
from tests.redis_server import redis_server

__all__ = ["bare_registry", "environment", "redis_server", "registry", "settings", "sqlite_template"]

NAME = "a-package"
REASON = 'use <another> & "better" one'
EXPECTED_ABSENT = {"PEP 740"}


@pytest.fixture
async def published(registry: Registry) -> Registry:
    """Give a registry with two versions of a package, a wheel and an sdist."""
    for version, requires_python in (("1.0", ">=3.8,<4"), ("2.0", ">=3.9")):
        content = build_wheel("a_package", version, requires_python=requires_python)
        answer = await registry.upload(
            content, file_name=f"a_package-{version}-py3-none-any.whl", name="A.Package", version=version
        )
        assert answer.status == 201, answer.body
    answer = await registry.upload(
        build_sdist("a_package", "2.0"), file_name="a_package-2.0.tar.gz", name="A.Package", version="2.0"
    )
    assert answer.status == 201, answer.body
    await say(registry, f"/pypi/names/{NAME}/status", {"status": "deprecated", "reason": REASON})
    await yank_some(registry)
    return registry


async def say(registry: Registry, path: str, body: dict[str, str]) -> None:
    """Set what the Packages API has at this path."""
    url = f"/api/v4/projects/{registry.project_id}/packages{path}"
    answer = await registry.ask("PUT", url, data=json.dumps(body).encode(), Content_Type="application/json")
    assert answer.status == 200, answer.body


async def yank_some(registry: Registry) -> None:
    """Yank a release for a reason, and of another one a single file without any."""
    packages = (await registry.get(f"/api/v4/projects/{registry.project_id}/packages")).json
    first, second = (f"/{package['id']}" for package in packages)
    await say(registry, f"{first}/yank", {"reason": REASON})
    files = (await registry.get(f"/api/v4/projects/{registry.project_id}/packages{second}/package_files")).json
    await say(registry, f"{second}/package_files/{files[0]['id']}/yank", {})


async def test_the_index_of_a_project_keeps_every_clause(published: Registry) -> None:
    index = Index(f"{published.pypi}/simple/", NAME, ("anybody", ROOT_TOKEN))
    findings = [await asyncio.to_thread(find, clause, index) for clause in (*pages.CLAUSES, *transfer.CLAUSES)]
    report = table(findings)
    assert not [one for one in findings if one.outcome is Outcome.BROKEN], report
    absent = {one.clause.source for one in findings if one.outcome is Outcome.ABSENT}
    assert absent <= EXPECTED_ABSENT, report


async def test_a_quarantined_name_keeps_the_clauses_about_its_status(published: Registry) -> None:
    await say(published, f"/pypi/names/{NAME}/status", {"status": "quarantined", "reason": REASON})
    index = Index(f"{published.pypi}/simple/", NAME, ("anybody", ROOT_TOKEN))
    clauses = [clause for clause in pages.CLAUSES if clause.source == "PEP 792"]
    findings = [await asyncio.to_thread(find, clause, index) for clause in clauses]
    assert [one.outcome for one in findings] == [Outcome.KEPT] * 3, table(findings)


async def test_an_index_that_breaks_a_clause_is_found_out(published: Registry) -> None:
    index = Index(f"{published.url}/-/", "health", None)
    findings = [await asyncio.to_thread(find, clause, index) for clause in pages.CLAUSES]
    broken = [one for one in findings if one.outcome is Outcome.BROKEN]
    assert len(broken) > len(findings) / 2
    assert any(one.clause.demand is Demand.MUST for one in broken)
