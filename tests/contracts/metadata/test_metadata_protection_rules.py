"""Package protection rules: ProtectionRuleReads and ProtectionRuleWrites."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from shared.metadata.store import SqlMetadataStore
from shared.models import CounterScope, ProjectId
from shared.protection import ProtectedPackageType, ProtectionLevel, ProtectionRuleId, ProtectionTerms
from tests.contracts.metadata.locks import until_somebody_waits
from tests.contracts.metadata.sample_rows import new_project

TERMS = ProtectionTerms(
    package_name_pattern="my-*",
    package_type=ProtectedPackageType.PYPI,
    minimum_access_level_for_push=ProtectionLevel.MAINTAINER,
    minimum_access_level_for_delete=None,
)
OTHERS = [
    replace(TERMS, package_name_pattern="My-*"),
    replace(TERMS, package_type=ProtectedPackageType.TERRAFORM_MODULE),
    ProtectionTerms(
        package_name_pattern="ä\0*",
        package_type=ProtectedPackageType.GENERIC,
        minimum_access_level_for_push=None,
        minimum_access_level_for_delete=ProtectionLevel.ADMIN,
    ),
]


async def test_rules_are_added_looked_up_changed_and_removed(store: SqlMetadataStore) -> None:
    project, other = await new_project(store), await new_project(store, "other")
    async with store.writing() as rows:
        assert await rows.protection_rules.lock(project.id)
        rule = await rows.protection_rules.add(project.id, TERMS)
        assert (rule.project_id, rule.terms, rule.updated_at) == (project.id, TERMS, rule.created_at)
        added = [await rows.protection_rules.add(project.id, terms) for terms in OTHERS]
        theirs = await rows.protection_rules.add(other.id, TERMS)
    assert added[2].terms.package_name_pattern == "ä\ufffd*", "as all text that not every engine can hold"
    async with store.reading() as rows:
        assert await rows.protection_rules.of_project(project.id) == (rule, *added)
        assert await rows.protection_rules.of_project(other.id) == (theirs,)
        assert await rows.protection_rules.count(project.id) == 4
        assert await rows.protection_rules.count(ProjectId(2**70)) == 0
        assert await rows.protection_rules.one(project.id, rule.id) == rule
        assert await rows.protection_rules.one(other.id, rule.id) is None
        assert await rows.protection_rules.one(project.id, ProtectionRuleId(2**70)) is None
        for found, pattern in ((rule, "my-*"), (added[0], "My-*"), (None, "MY-*"), (None, "my-%"), (None, "my-x")):
            assert found == await rows.protection_rules.named(
                project.id, package_type=ProtectedPackageType.PYPI, package_name_pattern=pattern
            )
    terms = replace(TERMS, package_name_pattern="*", minimum_access_level_for_delete=ProtectionLevel.OWNER)
    async with store.writing() as rows:
        changed = await rows.protection_rules.change(project.id, rule.id, terms=terms)
        assert changed is not None
        assert changed == replace(rule, terms=terms, updated_at=changed.updated_at)
        assert timedelta(0) < changed.updated_at - rule.updated_at < timedelta(minutes=1)
        assert await rows.protection_rules.change(other.id, rule.id, terms=TERMS) is None
        assert not await rows.protection_rules.remove(other.id, rule.id)
        assert await rows.protection_rules.remove(project.id, added[0].id)
        assert not await rows.protection_rules.remove(project.id, added[0].id)
    async with store.reading() as rows:
        assert await rows.protection_rules.of_project(project.id) == (changed, *added[1:])
        assert await rows.protection_rules.of_project(other.id) == (theirs,)


async def test_two_rules_do_not_say_of_whom_alike(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with store.writing() as rows:
        await rows.protection_rules.add(project.id, TERMS)
    with pytest.raises(IntegrityError):
        async with store.writing() as rows:
            await rows.protection_rules.add(project.id, replace(TERMS, minimum_access_level_for_push=None))


async def test_a_project_that_is_gone_cannot_be_locked(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    async with store.writing() as rows:
        await rows.tenant_changes.doom_project(project)
        assert not await rows.protection_rules.lock(project.id)
        assert not await rows.protection_rules.lock(ProjectId(2**70))


async def test_what_rules_say_counts_for_the_project(store: SqlMetadataStore) -> None:
    project = await new_project(store)
    own = {(CounterScope.PROJECT, project.id)}
    async with store.writing() as rows:
        rule = await rows.protection_rules.add(project.id, TERMS)
        assert rows._transaction.touched == own
    async with store.writing() as rows:
        await rows.protection_rules.change(project.id, rule.id, terms=OTHERS[0])
        assert rows._transaction.touched == own
    async with store.writing() as rows:
        await rows.protection_rules.remove(project.id, rule.id)
        assert rows._transaction.touched == own
    async with store.writing() as rows:
        await rows.protection_rules.lock(project.id)
        await rows.protection_rules.change(project.id, rule.id, terms=OTHERS[0])
        await rows.protection_rules.remove(project.id, rule.id)
        assert rows._transaction.touched == set()


# On SQLite one writer goes at a time anyway.
@pytest.mark.parametrize("engine", [pytest.param("postgresql", marks=pytest.mark.slow)])
async def test_those_whom_rules_hold_do_not_wait_for_each_other_and_who_changes_a_rule_waits_for_them(
    store: SqlMetadataStore, engine: str
) -> None:
    assert engine == "postgresql"
    project = await new_project(store)

    async def add_a_rule() -> None:
        async with store.writing() as rows:
            assert await rows.protection_rules.lock(project.id)
            await rows.protection_rules.add(project.id, TERMS)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group, store.writing() as one:
        assert await one.protection_rules.hold(project.id)
        async with store.writing() as two:
            assert await two.protection_rules.hold(project.id)
        adding = group.create_task(add_a_rule())
        await until_somebody_waits(store)
        assert not adding.done()
        assert await one.protection_rules.of_project(project.id) == ()
    async with store.writing() as rows:
        assert await rows.protection_rules.hold(project.id)
        assert len(await rows.protection_rules.of_project(project.id)) == 1
        assert not await rows.protection_rules.hold(ProjectId(999))
