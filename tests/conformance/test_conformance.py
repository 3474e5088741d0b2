"""Larder's own index under every clause; `python -m tests.conformance` asks the same of any other index."""

import asyncio

import pytest

from tests.api.conftest import bare_registry, environment, registry, settings
from tests.api.registry import ROOT_TOKEN, Registry
from tests.api.tenants import add_group, add_project
from tests.backends import sqlite_template
from tests.conformance import pages, transfer
from tests.conformance.clauses import Demand, Outcome, find, table
from tests.conformance.reader import Index
from tests.distributions import build_sdist, build_wheel
from tests.redis_server import redis_server

__all__ = ["bare_registry", "environment", "redis_server", "registry", "settings", "sqlite_template"]

NAME = "a-package"
EXPECTED_ABSENT = {"PEP 740", "PEP 792"}


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
    return registry


async def test_the_index_of_a_project_keeps_every_clause(published: Registry) -> None:
    index = Index(f"{published.pypi}/simple/", NAME, ("anybody", ROOT_TOKEN))
    findings = [await asyncio.to_thread(find, clause, index) for clause in (*pages.CLAUSES, *transfer.CLAUSES)]
    report = table(findings)
    assert not [one for one in findings if one.outcome is Outcome.BROKEN], report
    absent = {one.clause.source for one in findings if one.outcome is Outcome.ABSENT}
    assert absent <= EXPECTED_ABSENT, report


async def test_the_index_of_a_group_keeps_every_clause(registry: Registry) -> None:
    """The same files, from two projects; nothing is absent that a project's index has."""
    group = await add_group(registry, "team")
    for path, version in (("one", "1.0"), ("other", "2.0")):
        project = await add_project(registry, await add_group(registry, path, parent=group), "app")
        content = build_wheel("a_package", version, requires_python=">=3.8,<4")
        file_name = f"a_package-{version}-py3-none-any.whl"
        answer = await registry.upload(content, file_name=file_name, name="A.Package", version=version, to=project.id)
        assert answer.status == 201, answer.body
    url = f"{registry.url}/api/v4/groups/{group.id}/-/packages/pypi/simple/"
    index = Index(url, NAME, ("anybody", ROOT_TOKEN))
    findings = [await asyncio.to_thread(find, clause, index) for clause in (*pages.CLAUSES, *transfer.CLAUSES)]
    report = table(findings)
    assert not [one for one in findings if one.outcome is Outcome.BROKEN], report
    absent = {one.clause.source for one in findings if one.outcome is Outcome.ABSENT}
    assert absent <= EXPECTED_ABSENT, report


async def test_an_index_that_breaks_a_clause_is_found_out(published: Registry) -> None:
    index = Index(f"{published.url}/-/", "health", None)
    findings = [await asyncio.to_thread(find, clause, index) for clause in pages.CLAUSES]
    broken = [one for one in findings if one.outcome is Outcome.BROKEN]
    assert len(broken) > len(findings) / 2
    assert any(one.clause.demand is Demand.MUST for one in broken)
