"""The settings of the instance: SettingReads and SettingWrites."""

from dataclasses import replace

from sqlalchemy import text

from shared.metadata.store import SqlMetadataStore
from shared.models import CounterScope, InstanceSettings, Visibility

DEFAULTS = InstanceSettings(allow_guest_plus_roles_to_pull_packages=False, pypi_max_file_size=7)
INSTANCE = (CounterScope.INSTANCE, 0)


async def test_nothing_decided_leaves_the_defaults(store: SqlMetadataStore) -> None:
    async with store.reading() as rows:
        assert await rows.settings.read(DEFAULTS) == DEFAULTS


async def test_what_is_decided_stands_in_place_of_the_defaults_and_counts_for_the_instance(
    store: SqlMetadataStore,
) -> None:
    async with store.writing() as rows:
        await rows.settings.decide({"pypi_max_file_size": 2**62, "default_group_visibility": Visibility.INTERNAL})
    async with store.writing() as rows:
        await rows.settings.decide(
            {"allow_guest_plus_roles_to_pull_packages": True, "default_group_visibility": Visibility.PUBLIC}
        )
    async with store.writing() as rows:
        await rows.settings.decide({})
    async with store.reading() as rows:
        assert await rows.settings.read(DEFAULTS) == replace(
            DEFAULTS,
            allow_guest_plus_roles_to_pull_packages=True,
            default_group_visibility=Visibility.PUBLIC,
            pypi_max_file_size=2**62,
        )
        assert (await rows.counters([INSTANCE]))[INSTANCE] == 2


async def test_settings_that_nobody_knows_any_more_are_passed_over(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        await rows.settings.decide({"pypi_max_file_size": 1})
        await rows._transaction.change(text("UPDATE instance_settings SET name = 'of_another_version'"))
    async with store.reading() as rows:
        assert await rows.settings.read(DEFAULTS) == DEFAULTS
