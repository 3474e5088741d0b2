"""Members of groups and projects: MemberReads and MemberWrites."""

from datetime import UTC, datetime, timedelta

from shared.metadata.store import SqlMetadataStore, SqlWriting
from shared.models import AccessLevel, CounterScope, Membership, Namespace, Project, User, UserId
from shared.pages import PageRequest
from shared.ports.member_rows import MemberFilter, MemberSource
from tests.contracts.metadata.sample_rows import add_group, add_project, add_user

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALL = PageRequest(number=1, size=100)
WANTED = MemberFilter(now=NOW)


async def add(
    rows: SqlWriting, source: MemberSource, user: User, level: AccessLevel, *, expires_at: datetime | None = None
) -> None:
    assert await rows.members.lock(source)
    await rows.members.add(source, user.id, level=level, expires_at=expires_at, creator_id=user.id)


def told(members: tuple[Membership, ...]) -> list[tuple[str, int]]:
    return [(member.user.username, int(member.level)) for member in members]


async def tree(rows: SqlWriting) -> tuple[Namespace, Namespace, Project, User, User]:
    top = await add_group(rows, "top")
    team = await add_group(rows, "team", parent=top)
    project = await add_project(rows, team)
    return top, team, project, await add_user(rows, "ada"), await add_user(rows, "bob")


async def test_direct_members_are_those_of_the_source_and_effective_ones_come_from_above_too(
    store: SqlMetadataStore,
) -> None:
    async with store.writing() as rows:
        top, team, project, ada, bob = await tree(rows)
        await add(rows, top, ada, AccessLevel.REPORTER)
        await add(rows, team, bob, AccessLevel.OWNER)
        await add(rows, project, ada, AccessLevel.MAINTAINER)
        await add(rows, project, bob, AccessLevel.GUEST)
    async with store.reading() as rows:
        assert told((await rows.members.direct(project, WANTED, ALL)).entries) == [("ada", 40), ("bob", 10)]
        assert told((await rows.members.effective(project, WANTED, ALL)).entries) == [("ada", 40), ("bob", 50)]
        assert told((await rows.members.direct(team, WANTED, ALL)).entries) == [("bob", 50)]
        assert told((await rows.members.effective(team, WANTED, ALL)).entries) == [("ada", 20), ("bob", 50)]
        assert told((await rows.members.effective(top, WANTED, ALL)).entries) == [("ada", 20)]
        second = await rows.members.effective(project, WANTED, PageRequest(2, 1))
        assert (told(second.entries), second.total, second.has_more) == ([("bob", 50)], 2, False)
        assert await rows.members.direct_one(team, ada.id, now=NOW) is None
        found = await rows.members.effective_one(team, ada.id, now=NOW)
        assert found is not None
        assert (found.user, found.level, found.expires_at, found.creator) == (ada, AccessLevel.REPORTER, None, ada)


async def test_members_are_searched(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top, _, _, ada, bob = await tree(rows)
        await add(rows, top, ada, AccessLevel.GUEST)
        await add(rows, top, bob, AccessLevel.GUEST)
    async with store.reading() as rows:
        for wanted, names in (
            (MemberFilter(now=NOW, search=" ADA@ ", searches_emails=True), ["ada"]),
            (MemberFilter(now=NOW, search="ada@"), []),
            (MemberFilter(now=NOW, search="%"), []),
            (MemberFilter(now=NOW, user_ids=(bob.id, 2**70)), ["bob"]),
            (MemberFilter(now=NOW, user_ids=()), []),
        ):
            page = await rows.members.direct(top, wanted, ALL)
            assert [member.user.username for member in page.entries] == names


async def test_a_membership_past_its_expiry_is_not_there_and_can_be_given_anew(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top, _, _, ada, bob = await tree(rows)
        await add(rows, top, ada, AccessLevel.OWNER, expires_at=NOW)
        await add(rows, top, bob, AccessLevel.OWNER, expires_at=NOW + timedelta(microseconds=1))
    async with store.reading() as rows:
        assert told((await rows.members.direct(top, WANTED, ALL)).entries) == [("bob", 50)]
        assert await rows.members.direct_one(top, ada.id, now=NOW) is None
        assert not await rows.members.has_other_owner(top, bob.id, now=NOW)
    async with store.writing() as rows:
        await add(rows, top, ada, AccessLevel.GUEST)
    async with store.reading() as rows:
        assert told((await rows.members.direct(top, WANTED, ALL)).entries) == [("ada", 10), ("bob", 50)]


async def test_the_owner_of_a_personal_namespace_is_a_member_of_its_projects(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        ada, bob = await add_user(rows, "ada"), await add_user(rows, "bob")
        home = await rows.tenants.namespace(ada.namespace_id)
        assert home is not None
        project = await add_project(rows, home)
        await add(rows, project, bob, AccessLevel.GUEST)
        await add(rows, project, ada, AccessLevel.GUEST)
    async with store.reading() as rows:
        for page in (
            await rows.members.direct(project, WANTED, ALL),
            await rows.members.effective(project, WANTED, ALL),
        ):
            assert told(page.entries) == [("ada", 50), ("bob", 10)]


async def test_an_owner_of_what_a_group_lies_in_owns_it_too(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top, team, _, ada, bob = await tree(rows)
        await add(rows, top, ada, AccessLevel.OWNER)
        await add(rows, team, bob, AccessLevel.OWNER)
    async with store.reading() as rows:
        assert await rows.members.has_other_owner(team, bob.id, now=NOW)
        assert not await rows.members.has_other_owner(top, ada.id, now=NOW)


async def test_changes_and_removals_say_whether_there_was_a_member(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top, team, project, ada, bob = await tree(rows)
        await add(rows, team, ada, AccessLevel.GUEST)
    later = NOW + timedelta(days=1)
    async with store.writing() as rows:
        assert await rows.members.change(team, ada.id, level=AccessLevel.OWNER, expires_at=later)
        assert not await rows.members.change(project, ada.id, level=AccessLevel.OWNER, expires_at=None)
        assert not await rows.members.change(team, bob.id, level=AccessLevel.OWNER, expires_at=None)
        assert not await rows.members.remove(top, ada.id)
        found = await rows.members.direct_one(team, ada.id, now=NOW)
        assert found is not None
        assert (found.level, found.expires_at) == (AccessLevel.OWNER, later)
        assert await rows.members.remove(team, ada.id)
        assert not await rows.members.remove(team, ada.id)
        assert not await rows.members.remove(team, UserId(2**70))


async def test_memberships_below_a_group_end_together_and_no_others(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top, team, project, ada, bob = await tree(rows)
        beside = await add_group(rows, "beside")
        for source in (top, team, project, beside):
            await add(rows, source, ada, AccessLevel.GUEST)
            await add(rows, source, bob, AccessLevel.GUEST)
        assert await rows.members.remove_below(top, ada.id) == 2
        assert await rows.members.remove_below(top, ada.id) == 0
    async with store.reading() as rows:
        for source, names in ((top, ["ada", "bob"]), (team, ["bob"]), (project, ["bob"]), (beside, ["ada", "bob"])):
            page = await rows.members.direct(source, WANTED, ALL)
            assert [member.user.username for member in page.entries] == names


async def test_members_count_for_the_top_level_namespace(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        top, team, project, ada, _ = await tree(rows)
    own = {(CounterScope.NAMESPACE, top.id)}
    for source in (team, project):
        async with store.writing() as rows:
            await add(rows, source, ada, AccessLevel.GUEST)
            assert rows._transaction.touched == own
        async with store.writing() as rows:
            await rows.members.change(source, ada.id, level=AccessLevel.OWNER, expires_at=None)
            assert rows._transaction.touched == own
    async with store.writing() as rows:
        await rows.members.remove_below(top, ada.id)
        assert rows._transaction.touched == own
    async with store.writing() as rows:
        await rows.members.remove_below(top, ada.id)
        await rows.members.remove(team, ada.id)
        assert rows._transaction.touched == set()
