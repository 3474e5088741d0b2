"""Statements that were made once, as they are handed to SQLite: text, and what becomes of values on the way in and out.

SQLAlchemy finds all of this out anew each time it executes something, which takes several times as long as SQLite does.
It writes the text and knows the types here as well; only the carrying out goes past it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Executable, Row
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Process = Callable[[Any], Any]

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One place in the text that a value takes.

    Args:
        fixed: what the statement itself says, as the driver takes it; `_ABSENT` where a value is brought each time.
        process: makes of a value what the driver takes; None: nothing needs to be done.
    """

    name: str
    fixed: Any
    process: Process | None

    def bound(self, values: Mapping[str, Any]) -> Any:
        """Return what stands in its place, as the driver takes it."""
        if self.fixed is not _ABSENT:
            return self.fixed
        value = values[self.name]
        return value if self.process is None else self.process(value)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that SQLite can be asked at once.

    Args:
        processes: of each column that the driver gives otherwise than wanted: its number, and what is made of it.
        columns: what rows are made by; None where there are none.
    """

    text: str
    parameters: tuple[_Parameter, ...]
    processes: tuple[tuple[int, Process], ...]
    columns: SimpleResultMetaData | None

    def bound(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the values in the order of their places, as the driver takes them."""
        return [one.bound(values) for one in self.parameters]

    def rows(self, found: Sequence[Sequence[Any]]) -> Sequence[Row[Any]]:
        """Return what the driver gave as SQLAlchemy's rows."""
        if not found or self.columns is None:
            return ()
        result: IteratorResult[Any] = IteratorResult(self.columns, map(self._processed, found))
        return result.all()

    def _processed(self, values: Sequence[Any]) -> Sequence[Any]:
        processed = list(values)
        for number, process in self.processes:
            processed[number] = process(processed[number])
        return tuple(processed)


class PreparedStatements:
    """Those of one dialect, for as long as the statements that they were made from are there."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._known: WeakKeyDictionary[Executable, dict[tuple[str, ...], Prepared | None]] = WeakKeyDictionary()

    def find(self, statement: Executable, values: Mapping[str, Any]) -> Prepared | None:
        """Return the statement as it takes these values; None when only SQLAlchemy can carry it out."""
        names = tuple(values)
        of_statement = self._known.setdefault(statement, {})
        if names not in of_statement:
            of_statement[names] = _prepare(statement, self._dialect, list(names))
        return of_statement[names]


def _prepare(statement: Executable, dialect: Dialect, names: list[str]) -> Prepared | None:
    compiled = statement.compile(dialect=dialect, column_keys=names)  # type: ignore[attr-defined]
    assert isinstance(compiled, SQLCompiler)
    if compiled.post_compile_params or compiled.literal_execute_params or _has_defaults(compiled):
        return None  # Its text depends on values, or Python functions make some of them.
    columns = statement.exported_columns  # type: ignore[attr-defined]
    outward = [_outward(column.type, dialect) for column in columns]
    return Prepared(
        text=compiled.string,
        parameters=tuple(_parameter(compiled, name, names, dialect) for name in compiled.positiontup or ()),
        processes=tuple((number, process) for number, process in enumerate(outward) if process is not None),
        columns=SimpleResultMetaData([column.key for column in columns]) if outward else None,
    )


def _has_defaults(compiled: SQLCompiler) -> bool:
    is_change = compiled.isinsert or compiled.isupdate
    return is_change and bool(compiled.insert_prefetch or compiled.update_prefetch)


def _parameter(compiled: SQLCompiler, name: str, names: list[str], dialect: Dialect) -> _Parameter:
    bind = compiled.binds[name]
    process = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if name in names:
        return _Parameter(name, _ABSENT, process)
    if bind.required:
        raise KeyError(f"{name} is wanted by a statement")
    fixed = bind.effective_value
    return _Parameter(name, process(fixed) if process is not None else fixed, process)


def _outward(kind: TypeEngine[Any], dialect: Dialect) -> Process | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
