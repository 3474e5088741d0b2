"""Access tokens: TokenReads and TokenWrites."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import RecordInvalid
from shared.metadata.store import SqlMetadataStore
from shared.models import TokenId, UserId
from shared.pages import PageRequest
from shared.ports.metadata_store import Writing
from shared.ports.token_rows import TokenFilter, TokenOrder
from shared.principals import AccessToken
from tests.contracts.metadata.sample_rows import add_group, add_user

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)


async def add_token(
    rows: Writing,
    digest: str = "a" * 64,
    *,
    name: str = "laptop",
    expires_at: datetime | None = NOW + timedelta(days=30),
    description: str | None = None,
) -> AccessToken:
    user = await rows.tenants.user_by_username("ada") or await add_user(rows, "ada")
    return await rows.tokens.add_personal(
        user.id,
        digest=digest,
        name=name,
        scopes=("read_api", "api"),
        expires_at=expires_at,
        description=description,
    )


async def add_deploy_token(rows: Writing, digest: str = "d" * 64, *, username: str | None = None) -> AccessToken:
    creator = await rows.tenants.user_by_username("ada") or await add_user(rows, "ada")
    source = await rows.tenants.namespace_by_path("team") or await add_group(rows, "team")
    return await rows.tokens.add_deploy(
        source,
        digest=digest,
        name="good deploy",
        username=username,
        scopes=("read_package_registry",),
        expires_at=None,
        creator_id=creator.id,
    )


async def test_a_deploy_token_without_a_username_is_called_by_its_id(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        unnamed, named = await add_deploy_token(rows, "u"), await add_deploy_token(rows, "n", username="ci")
    async with store.reading() as rows:
        assert await rows.tokens.by_digest("u") == unnamed
        assert await rows.tokens.by_digest("n") == named
    assert (unnamed.username, named.username) == (f"gitlab+deploy-token-{unnamed.id}", "ci")


async def test_a_token_is_found_by_its_digest_alone(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        token = await add_token(rows)
    async with store.reading() as rows:
        assert await rows.tokens.by_digest("a" * 64) == token
        for other in ("b" * 64, "A" * 64, "a" * 63, "", "\0"):
            assert await rows.tokens.by_digest(other) is None
    assert token.scopes == ("read_api", "api")
    assert token.expires_at == NOW + timedelta(days=30)
    assert (token.revoked_at, token.last_used_at) == (None, None)


async def test_a_digest_is_taken_once(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        token = await add_token(rows)
        with pytest.raises(RecordInvalid):
            await add_token(rows, name="another")
    async with store.reading() as rows:
        assert await rows.tokens.by_digest("a" * 64) == token


async def test_the_tokens_of_a_user_and_name_come_oldest_first(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        first = await add_token(rows, "c" * 64)
        second = await add_token(rows, "b" * 64)
        await add_token(rows, "d" * 64, name="other")
        await rows.tokens.revoke(second.id, at=NOW)
        assert first.user_id is not None
        found = await rows.tokens.of_user(first.user_id, name="laptop")
        assert [token.id for token in found] == [first.id, second.id]
        assert await rows.tokens.of_user(UserId(999), name="laptop") == ()


async def test_a_token_is_revoked_once_and_still_found(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        token = await add_token(rows)
        assert await rows.tokens.revoke(token.id, at=NOW)
        assert not await rows.tokens.revoke(token.id, at=NOW + timedelta(hours=1))
        assert not await rows.tokens.revoke(TokenId(999), at=NOW)
        found = await rows.tokens.by_digest(token.digest)
    assert found is not None
    assert found.revoked_at == NOW


async def test_a_replaced_secret_is_unknown_and_the_token_good_again(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        token = await add_token(rows)
        await rows.tokens.revoke(token.id, at=NOW)
        await rows.tokens.replace_secret(token.id, digest="b" * 64)
        assert await rows.tokens.by_digest("a" * 64) is None
        found = await rows.tokens.by_digest("b" * 64)
    assert found is not None
    assert (found.id, found.revoked_at) == (token.id, None)


async def test_a_secret_is_not_replaced_by_that_of_another_token(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        token = await add_token(rows)
        other = await add_token(rows, "b" * 64)
        with pytest.raises(RecordInvalid):
            await rows.tokens.replace_secret(token.id, digest=other.digest)
        await rows.tokens.replace_secret(token.id, digest=token.digest)
        assert await rows.tokens.by_digest(token.digest) == token
        assert await rows.tokens.by_digest(other.digest) == other


async def test_the_latest_use_stands_though_uses_are_noted_out_of_order(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        token = await add_token(rows)
        await rows.tokens.mark_used(token.id, at=NOW)
        await rows.tokens.mark_used(token.id, at=NOW - timedelta(seconds=1))
        found = await rows.tokens.by_digest(token.digest)
    assert found is not None
    assert found.last_used_at == NOW


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (TokenFilter(), ["good", "Revoked", "expired", "endless"]),
        (TokenFilter(user_id=UserId(999)), []),
        (TokenFilter(is_revoked=True), ["Revoked"]),
        (TokenFilter(is_revoked=False), ["good", "expired", "endless"]),
        (TokenFilter(is_active=True), ["good", "endless"]),
        (TokenFilter(is_active=False), ["Revoked", "expired"]),
        (TokenFilter(search="RE"), ["Revoked", "expired"]),
        (TokenFilter(expires_before=NOW), ["expired"]),
        (TokenFilter(expires_after=NOW), ["good", "Revoked", "expired"]),
        (TokenFilter(expires_after=NOW + DAY, expires_before=NOW + DAY), ["Revoked"]),
        (TokenFilter(last_used_after=NOW), ["good"]),
        (TokenFilter(last_used_before=NOW - DAY), ["expired"]),
        (TokenFilter(created_after=datetime(2100, 1, 1, tzinfo=UTC)), []),
        (TokenFilter(created_before=datetime(2100, 1, 1, tzinfo=UTC), search="good"), ["good"]),
        (TokenFilter(order=TokenOrder.NAME_ASC), ["Revoked", "endless", "expired", "good"]),
        (TokenFilter(order=TokenOrder.NAME_DESC), ["good", "expired", "endless", "Revoked"]),
        (TokenFilter(order=TokenOrder.EXPIRES_ASC), ["expired", "Revoked", "good", "endless"]),
        (TokenFilter(order=TokenOrder.EXPIRES_DESC), ["good", "Revoked", "expired", "endless"]),
        (TokenFilter(order=TokenOrder.LAST_USED_ASC), ["expired", "good", "Revoked", "endless"]),
        (TokenFilter(order=TokenOrder.LAST_USED_DESC), ["good", "expired", "Revoked", "endless"]),
        (TokenFilter(order=TokenOrder.CREATED_ASC), ["good", "Revoked", "expired", "endless"]),
        (TokenFilter(order=TokenOrder.CREATED_DESC), ["endless", "expired", "Revoked", "good"]),
    ],
)
async def test_personal_tokens_are_filtered_and_sorted(
    store: SqlMetadataStore, wanted: TokenFilter, names: list[str]
) -> None:
    added: dict[str, AccessToken] = {}
    ends = {"good": NOW + 2 * DAY, "Revoked": NOW + DAY, "expired": NOW, "endless": None}
    for number, (name, expires_at) in enumerate(ends.items()):
        async with store.writing() as rows:
            added[name] = await add_token(rows, str(number), name=name, expires_at=expires_at)
    async with store.writing() as rows:
        await add_deploy_token(rows)
        await rows.tokens.revoke(added["Revoked"].id, at=NOW)
        await rows.tokens.mark_used(added["good"].id, at=NOW)
        await rows.tokens.mark_used(added["expired"].id, at=NOW - DAY)
    async with store.reading() as rows:
        page = await rows.tokens.personal_page(wanted, PageRequest(1, 100), now=NOW)
    assert [token.name for token in page.entries] == names
    assert (page.total, page.has_more) == (len(names), False)


async def test_a_personal_token_is_found_by_its_id_and_no_other_kind_is(store: SqlMetadataStore) -> None:
    async with store.writing() as rows:
        token = await add_token(rows, description="of the train")
        deploy = await add_deploy_token(rows)
    async with store.reading() as rows:
        assert await rows.tokens.personal(token.id) == token
        assert token.description == "of the train"
        for other in (deploy.id, TokenId(999), TokenId(0), TokenId(-1), TokenId(2**63)):
            assert await rows.tokens.personal(other) is None


async def test_a_token_may_end_at_any_instant_that_there_is(store: SqlMetadataStore) -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for number, end in enumerate((first, first + DAY, last - DAY, last)):
        async with store.writing() as rows:
            added = await add_token(rows, str(number) * 64, expires_at=end)
        async with store.reading() as reader:
            found = await reader.tokens.by_digest(str(number) * 64)
        assert (added.expires_at, found) == (end, added)
        assert added.is_expired(NOW) is (end < NOW)
