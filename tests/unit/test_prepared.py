"""Statements that go past SQLAlchemy's execution: the same values in, and the same rows out."""

import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Column,
    Executable,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    bindparam,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from shared.metadata.prepared import PreparedStatements
from shared.metadata.types import EnumText, Identifier, PlainText, UtcDateTime
from shared.models import PackageStatus

NOW = datetime(2026, 12, 1, 13, 30, tzinfo=UTC)
things = Table(
    "things",
    MetaData(),
    Column("id", Identifier, primary_key=True),
    Column("name", PlainText),
    Column("status", EnumText(PackageStatus)),
    Column("form", JSON),
    Column("raw", LargeBinary),
    Column("at", UtcDateTime),
    Column("size", Integer),
)
VALUES = {
    "id": 7,
    "name": "nul \0 and \udce4",
    "status": PackageStatus.DEFAULT,
    "form": {"classifier": ["a", "b"], "none": None},
    "raw": b"\0\xff",
    "at": NOW,
    "size": None,
}
BY_ID = select(things).where(things.c.id == bindparam("wanted"))


@pytest.fixture
async def connection() -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as opened:
        await opened.run_sync(things.metadata.create_all)
        yield opened
    await engine.dispose()


async def ask(connection: AsyncConnection, statement: Executable, values: dict[str, Any]) -> list[Row[Any]]:
    """Carry it out as it was prepared."""
    prepared = PreparedStatements(connection.dialect).find(statement, values)
    assert prepared is not None
    done = await connection.exec_driver_sql(prepared.text, tuple(prepared.bound(values)))
    return list(prepared.rows(done.all() if done.returns_rows else []))


async def test_what_goes_in_by_one_way_comes_out_by_the_other(connection: AsyncConnection) -> None:
    assert await ask(connection, insert(things), VALUES) == []
    of_sqlalchemy = (await connection.execute(BY_ID, {"wanted": 7})).one()
    (prepared,) = await ask(connection, BY_ID, {"wanted": 7})
    assert prepared == of_sqlalchemy
    assert prepared._asdict() == of_sqlalchemy._asdict() == {**VALUES, "name": "nul \ufffd and \ufffd"}
    assert dict(prepared._mapping) == dict(of_sqlalchemy._mapping)
    assert (prepared.at, prepared.status) == (NOW, PackageStatus.DEFAULT)


@pytest.mark.parametrize("wanted", [0, -1, 2**63, 8])
async def test_ids_that_no_row_has_find_nothing(connection: AsyncConnection, wanted: int) -> None:
    await ask(connection, insert(things), VALUES)
    assert await ask(connection, BY_ID, {"wanted": wanted}) == []


async def test_values_of_the_statement_itself_stay_beside_those_that_are_brought(connection: AsyncConnection) -> None:
    await ask(connection, insert(things), VALUES)
    change = (
        update(things)
        .where(things.c.id == bindparam("wanted"), things.c.status == PackageStatus.DEFAULT)
        .values(status=literal(PackageStatus.HIDDEN, things.c.status.type))
        .returning(things.c.status, things.c.name.label("called"))
    )
    (row,) = await ask(connection, change, {"wanted": 7, "name": "new"})
    assert row._asdict() == {"status": PackageStatus.HIDDEN, "called": "new"}
    assert await ask(connection, change, {"wanted": 7, "name": "newer"}) == []


async def test_a_union_has_the_names_of_its_first_part(connection: AsyncConnection) -> None:
    await ask(connection, insert(things), VALUES)
    both = union_all(select(things.c.size.label("number")), select(bindparam("other", type_=Integer)))
    assert [row.number for row in await ask(connection, both, {"other": 5})] == [None, 5]


def test_a_statement_whose_text_depends_on_values_is_left_to_sqlalchemy() -> None:
    statements = PreparedStatements(sqlite.dialect())
    assert statements.find(select(things).where(things.c.size.in_([1, 2])), {}) is None
    several = select(things).where(things.c.size.in_(bindparam("sizes", expanding=True)))
    assert statements.find(several, {"sizes": [1]}) is None
    with_default = Table("others", MetaData(), Column("id", Integer, default=lambda: 5), Column("name", PlainText))
    assert statements.find(insert(with_default), {"name": "a"}) is None


def test_a_value_that_is_missing_is_an_error() -> None:
    statements = PreparedStatements(sqlite.dialect())
    with pytest.raises(KeyError, match="wanted"):
        statements.find(BY_ID, {})


def test_what_was_prepared_goes_with_its_statement() -> None:
    statements = PreparedStatements(sqlite.dialect())
    for _ in range(100):
        statements.find(select(things).where(things.c.id == bindparam("wanted")), {"wanted": 1})
    gc.collect()
    assert len(statements._known) == 0
    assert statements.find(BY_ID, {"wanted": 1}) is statements.find(BY_ID, {"wanted": 2})
