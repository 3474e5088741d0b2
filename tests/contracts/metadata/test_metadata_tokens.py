"""Access tokens: TokenReads and TokenWrites."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import RecordInvalid
from shared.metadata.store import SqlMetadataStore
from shared.models import AccessToken, TokenId, TokenKind, UserId
from shared.ports.metadata_store import Writing
from tests.contracts.metadata.sample_rows import add_user

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


async def add_token(rows: Writing, digest: str = "a" * 64, *, name: str = "laptop") -> AccessToken:
    user = await rows.tenants.user_by_username("ada") or await add_user(rows, "ada")
    return await rows.tokens.add(
        kind=TokenKind.PERSONAL,
        digest=digest,
        name=name,
        user_id=user.id,
        scopes=("read_api", "api"),
        expires_at=NOW + timedelta(days=30),
    )


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
