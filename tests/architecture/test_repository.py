"""Rules for the whole repository that no linter knows."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CATCHES_EVERYTHING = {
    "services/api/middleware/errors.py",
    "services/worker/jobs.py",
    "services/worker/sweeping.py",
}
POLLS = {"tests/waiting.py"}
BESIDE_A_REGISTRY = {"api", "worker"}
WAIT_FOR_SQLITE_APART = {"tests/api/test_grown_registry.py"}
"""They share a loop with a registry and use the driver that blocks, in a thread of its own."""
NOT_OURS = {".git", ".venv", "__pycache__", "build", "dist", "var", "var-dev"}
NOT_OURS |= {".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
LOCKS = ("requirements.lock", "requirements-dev.lock")
PINS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/e2e/pins").glob("*.txt"))

LOCK = re.compile(
    r"(?:#[ \w]+:?\n)*"
    r"(?:[a-z0-9-]+==[\w.]+(?: ; [\w .<>=!'()]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n)+",
)

# In pieces, so that this file does not name them either.
REGISTRIES = [
    ("pypi", "org"),
    ("pypi", "python.org"),
    ("hosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("debian", "org"),
]
REGISTRY_HOSTS = re.compile("|".join(re.escape(f"{name}.{domain}") for name, domain in REGISTRIES), re.IGNORECASE)


def test_everything_is_caught_only_where_it_is_answered_for() -> None:
    found = [
        f"{_relative(path)}:{line}"
        for path in _python("services", "shared")
        if _relative(path) not in CATCHES_EVERYTHING
        for line in catch_alls(path.read_text("utf-8"))
    ]

    assert not found


def test_no_test_beside_a_registry_waits_for_sqlite_on_its_loop() -> None:
    """A lock that the registry holds would never be given back; `tests/rows.py` waits elsewhere."""
    found = {
        _relative(path)
        for path in _python("tests")
        if path.parent.name in BESIDE_A_REGISTRY
        and re.search(r"^\s*(import|from) sqlite3\b", path.read_text("utf-8"), re.MULTILINE)
    }

    assert found == WAIT_FOR_SQLITE_APART


def test_what_is_left_out_on_other_engines_says_why() -> None:
    reason = r"\(\"[^\"]{3,}\"\)"
    found = [
        _relative(path)
        for path in _python("tests")
        if re.search(rf"mark\.embedded(?!{reason})", path.read_text("utf-8"))
    ]

    assert not found


@pytest.mark.parametrize("caught", ["except:", "except Exception:", "except (KeyError, BaseException) as error:"])
def test_a_handler_that_swallows_everything_is_found(caught: str) -> None:
    assert list(catch_alls(f"try:\n    pass\n{caught}\n    pass\n")) == [3]


def test_a_handler_that_cleans_up_and_raises_again_is_left_alone() -> None:
    assert not list(catch_alls("try:\n    pass\nexcept BaseException:\n    close()\n    raise\n"))


def test_no_test_sleeps() -> None:
    found = [
        f"{_relative(path)}:{line}"
        for path in _python("tests")
        if _relative(path) not in POLLS
        for line in sleeps(path.read_text("utf-8"))
    ]

    assert not found, f"wait for a condition: {sorted(POLLS)}"


@pytest.mark.parametrize("source", ["import time\ntime.sleep(1)", "from asyncio import gather, sleep", "a = b.sleep"])
def test_a_sleep_is_found(source: str) -> None:
    assert len(list(sleeps(source))) == 1


def test_letting_others_go_first_is_no_sleep() -> None:
    assert not list(sleeps("import asyncio\nasyncio.sleep(0)"))


def test_packages_are_empty() -> None:
    found = [
        _relative(path) for path in _python("services", "shared") if path.name == "__init__.py" and path.read_text()
    ]

    assert not found


def test_every_directory_of_modules_is_a_package() -> None:
    missing = {
        _relative(path.parent) for path in _python("services", "shared") if not (path.parent / "__init__.py").exists()
    }

    assert not missing


def test_no_file_names_a_package_registry() -> None:
    found = [
        f"{_relative(path)}:{number}"
        for path in _files()
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1)
        if REGISTRY_HOSTS.search(line)
    ]

    assert not found


@pytest.mark.parametrize("name", [*LOCKS, *PINS])
def test_a_lock_pins_each_requirement_by_digest_and_holds_no_place_to_get_it_from(name: str) -> None:
    lock = (ROOT / name).read_text("utf-8")

    assert LOCK.fullmatch(lock)


def test_development_runs_on_the_versions_that_are_released() -> None:
    released, developed = (_pins((ROOT / name).read_text("utf-8")) for name in LOCKS)

    assert released.items() <= developed.items()


def catch_alls(source: str) -> Iterator[int]:
    """Yield the line of each handler that takes everything, but for one that cleans up and raises again."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and _takes_everything(node.type) and not _cleans_up(node):
            yield node.lineno


def sleeps(source: str) -> Iterator[int]:
    """Yield the line of each mention of a function that sleeps; `sleep(0)` only lets others go first."""
    tree = ast.parse(source)
    yields = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_zero(node.args)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="sleep") if id(node) not in yields:
                yield node.lineno
            case ast.ImportFrom(names=names) if any(alias.name == "sleep" for alias in names):
                yield node.lineno


def _is_zero(arguments: list[ast.expr]) -> bool:
    match arguments:
        case [ast.Constant(value=0)]:
            return True
    return False


def _takes_everything(caught: ast.expr | None) -> bool:
    match caught:
        case None | ast.Name(id="Exception" | "BaseException"):
            return True
        case ast.Tuple(elts=several):
            return any(_takes_everything(one) for one in several)
    return False


def _cleans_up(handler: ast.ExceptHandler) -> bool:
    match handler:
        case ast.ExceptHandler(type=ast.Name(id="BaseException"), body=[*_, ast.Raise(exc=None)]):
            return True
    return False


def _pins(lock: str) -> dict[str, str]:
    """Return each requirement's version with its marker, by name."""
    return dict(re.findall(r"(?m)^([^\s#=]+)==([^\\\n]+)", lock))


def _python(*folders: str) -> list[Path]:
    return [path for path in _files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def _files() -> Iterator[Path]:
    for directory, folders, names in os.walk(ROOT):
        folders[:] = sorted(set(folders) - NOT_OURS)
        yield from (Path(directory, name) for name in sorted(names))


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
