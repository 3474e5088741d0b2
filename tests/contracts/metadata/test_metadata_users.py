"""Users as a list, their state, and namespaces as a list: UserReads, UserWrites and NamespaceReads."""

from datetime import UTC, datetime

import pytest

from shared.metadata.store import SqlMetadataStore
from shared.models import AccessLevel, CounterScope, UserId, UserState
from shared.pages import PageRequest
from shared.ports.namespace_rows import NamespaceFilter
from shared.ports.user_rows import UserFilter
from tests.contracts.metadata.sample_rows import add_group, add_user

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALL = PageRequest(1, 100)
BLOCKED = UserState.BLOCKED


async def add_people(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        await add_user(rows, "ada", email="countess@localhost")
        bob = await rows.tenants.add_user(
            username="Bob", name="Robert 50%", email="bob@localhost", is_admin=False, is_external=True
        )
        await add_user(rows, "carol")
        assert await rows.users.set_state(bob.id, BLOCKED, source=UserState.ACTIVE)


@pytest.mark.parametrize(
    ("wanted", "usernames"),
    [
        (UserFilter(), ["carol", "Bob", "ada"]),
        (UserFilter(username="bOB"), ["Bob"]),
        (UserFilter(username="bo"), []),
        (UserFilter(search="RO"), ["carol", "Bob"]),
        (UserFilter(search="0%"), ["Bob"]),
        (UserFilter(search="%"), ["Bob"]),
        (UserFilter(search="_"), []),
        (UserFilter(search="COUNTESS"), []),
        (UserFilter(search="COUNTESS", searches_emails=True), ["ada"]),
        (UserFilter(search="\0"), []),
        (UserFilter(states=frozenset({UserState.ACTIVE})), ["carol", "ada"]),
        (UserFilter(states=frozenset({BLOCKED})), ["Bob"]),
        (UserFilter(states=frozenset()), []),
        (UserFilter(is_external=True), ["Bob"]),
        (UserFilter(is_external=False), ["carol", "ada"]),
    ],
)
async def test_users_are_filtered_and_come_newest_first(
    store: SqlMetadataStore, wanted: UserFilter, usernames: list[str]
) -> None:
    await add_people(store)
    async with store.reading() as rows:
        page = await rows.users.page(wanted, ALL)
    assert [user.username for user in page.entries] == usernames
    assert (page.total, page.has_more) == (len(usernames), False)


async def test_a_page_says_whether_more_follow_and_how_many_there_are(store: SqlMetadataStore) -> None:
    await add_people(store)
    async with store.reading() as rows:
        first = await rows.users.page(UserFilter(), PageRequest(1, 2))
        second = await rows.users.page(UserFilter(), PageRequest(2, 2))
        beyond = await rows.users.page(UserFilter(), PageRequest(2**31, 100))
    assert ([user.username for user in first.entries], first.total, first.has_more) == (["carol", "Bob"], 3, True)
    assert ([user.username for user in second.entries], second.total, second.has_more) == (["ada"], 3, False)
    assert (beyond.entries, beyond.total, beyond.has_more) == ((), 3, False)


async def test_users_are_found_by_email_whatever_its_case(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        user = await add_user(rows, "ada", email="Ada@Localhost")
    async with store.reading() as rows:
        assert await rows.users.by_email("aDA@lOCALHOST") == user
        assert await rows.users.by_email("ada") is None


async def test_a_state_changes_only_from_the_one_that_is_named_and_counts_for_its_user(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        user = await add_user(rows)
    scope = (CounterScope.USER, user.id)

    async def change(state: UserState, source: UserState, user_id: UserId = user.id) -> tuple[bool, int]:
        async with store.writing() as rows:
            has_changed = await rows.users.set_state(user_id, state, source=source)
        async with store.reading() as reader:
            return has_changed, (await reader.counters([scope]))[scope]

    assert await change(UserState.ACTIVE, BLOCKED) == (False, 1)
    assert await change(BLOCKED, UserState.ACTIVE) == (True, 2)
    assert await change(BLOCKED, UserState.ACTIVE) == (False, 2)
    assert await change(BLOCKED, UserState.ACTIVE, UserId(999)) == (False, 2)
    async with store.reading() as reader:
        moved = await reader.tenants.user(user.id)
    assert moved is not None
    assert moved.state is BLOCKED


async def test_the_namespaces_of_a_user_are_his_own_and_the_groups_that_he_is_a_direct_member_of(
    store: SqlMetadataStore,
) -> None:
    async with store.writing() as rows:
        ada = await add_user(rows)
        await add_user(rows, "bob")
        top = await add_group(rows, "top")
        team = await add_group(rows, "team", parent=top)
        await add_group(rows, "below", parent=team)
        past, slight = await add_group(rows, "past"), await add_group(rows, "slight")
        await rows.tenants.add_namespace_member(team, ada.id, level=AccessLevel.DEVELOPER, expires_at=None)
        await rows.tenants.add_namespace_member(past, ada.id, level=AccessLevel.OWNER, expires_at=NOW)
        await rows.tenants.add_namespace_member(slight, ada.id, level=AccessLevel.MINIMAL, expires_at=None)

    async def paths(wanted: NamespaceFilter) -> list[str]:
        async with store.reading() as rows:
            page = await rows.namespaces.page(wanted, ALL, now=NOW)
            assert page.total == len(page.entries)
            assert [await rows.tenants.namespace(entry.id) for entry in page.entries] == list(page.entries)
        return [entry.full_path for entry in page.entries]

    everything = ["ada", "bob", "top", "top/team", "top/team/below", "past", "slight"]
    assert await paths(NamespaceFilter()) == everything
    assert await paths(NamespaceFilter(user_id=ada.id)) == ["ada", "top/team"]
    assert await paths(NamespaceFilter(user_id=ada.id, lowest_level=AccessLevel.MAINTAINER)) == ["ada"]
    assert await paths(NamespaceFilter(user_id=UserId(999))) == []
    assert await paths(NamespaceFilter(search="TEAM")) == ["top/team", "top/team/below"]
    assert await paths(NamespaceFilter(search="t", is_top_level=True)) == ["top", "past", "slight"]
