"""What the code never does, so that it cannot be talked into it: reach out, rewrite the audit, compare secrets."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
LOWEST = {"aiohttp": Version("3.14.5")}
"""Of those that earlier versions have known holes of (RFC 9112 framing, above all)."""

_CLIENT_MODULES = {
    *("http.client", "urllib.request", "ftplib", "smtplib", "poplib", "imaplib", "telnetlib", "xmlrpc.client"),
    *("requests", "httpx", "urllib3", "pycurl", "websockets", "paramiko", "asyncssh"),
    "aiobotocore.session",
}
_CLIENT_NAMES = {"ClientSession", "urlopen", "urlretrieve", "create_connection", "open_connection"}
REACHES_OUT = {
    "services/standalone/readiness.py": {"open_connection"},  # to the address that this very command listens on
    "services/worker/inspection_processes.py": {"open_connection"},  # to a child of its own, over a pair of sockets
}
_DRIVERS = ("shared/metadata/", "shared/queue/", "shared/blobs/s3/")
"""What connects to the database, to Redis and to S3, whose addresses stand in the settings."""
_SECRETS = {"secret", "password", "token", "private_token", "bearer", "job_token", "deploy_token"}
"""Not their digests: of the time that those take to find nobody learns what they are the digests of."""


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for folder in ("services", "shared"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def clients(tree: ast.Module) -> set[str]:
    """Return what in the module could open a connection to somewhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names if alias.name in _CLIENT_MODULES}
            case ast.ImportFrom(module=str(module), names=names):
                full = {f"{module}.{alias.name}" for alias in names} | {module}
                found |= full & _CLIENT_MODULES | {alias.name for alias in names} & _CLIENT_NAMES
            case ast.Attribute(attr=attr):
                found |= {attr} & _CLIENT_NAMES
    return found


def test_nothing_opens_a_connection_to_what_somebody_sent() -> None:
    found = {path: clients(tree) for path, tree in _sources() if not path.startswith(_DRIVERS)}
    assert {path: names for path, names in found.items() if names} == REACHES_OUT


@pytest.mark.parametrize(
    "source",
    [
        "import requests",
        "from urllib.request import urlopen",
        "from urllib import request",
        "import http.client",
        "import aiohttp\naiohttp.ClientSession()",
        "from aiohttp import ClientSession",
        "import asyncio\nasyncio.open_connection('a', 1)",
        "loop.create_connection(f)",
    ],
)
def test_a_client_is_found(source: str) -> None:
    assert clients(ast.parse(source))


def rewrites(tree: ast.Module, table: str) -> list[int]:
    """Return the lines on which the module changes or removes rows of the table, as SQLAlchemy or SQL says it."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=target), *_]) if name in ("update", "delete"):
                found += [node.lineno] * (target == table)
            case ast.Attribute(attr=name, value=ast.Name(id=target)) if name in ("update", "delete"):
                found += [node.lineno] * (target == table)
            case ast.Constant(value=str(text)) if re.search(rf"(?i)\b(UPDATE|DELETE FROM|TRUNCATE) {table}\b", text):
                found.append(node.lineno)
    return found


def test_no_code_changes_or_removes_an_audit_event() -> None:
    assert {path: lines for path, tree in _sources() if (lines := rewrites(tree, "audit_events"))} == {}


@pytest.mark.parametrize(
    "source", ["update(audit_events)", "audit_events.delete()", "text('delete from audit_events where id = 1')"]
)
def test_a_change_of_the_audit_is_found(source: str) -> None:
    assert rewrites(ast.parse(source), "audit_events") == [1]


def comparisons(tree: ast.Module) -> list[str]:
    """Return where two values are compared of which one is called a secret: their time would tell how much is right."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare) or not all(isinstance(each, (ast.Eq, ast.NotEq)) for each in node.ops):
            continue
        for side in (node.left, *node.comparators):
            name = side.id if isinstance(side, ast.Name) else side.attr if isinstance(side, ast.Attribute) else ""
            if name in _SECRETS:
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def test_secrets_are_looked_up_by_their_digest_and_never_compared() -> None:
    assert {path: lines for path, tree in _sources() if (lines := comparisons(tree))} == {}


def test_a_comparison_of_secrets_is_found() -> None:
    assert comparisons(ast.parse("if request.token == expected: pass\nwrong = given != password"))


def _pins() -> Iterator[tuple[str, Requirement]]:
    for lock in LOCKS:
        for line in (ROOT / lock).read_text("utf-8").splitlines():
            if line and not line.startswith(("#", " ")):
                yield lock, Requirement(line.removesuffix("\\").strip())


def test_every_locked_requirement_is_one_final_release() -> None:
    pins = list(_pins())
    assert len(pins) > 100
    for lock, pin in pins:
        [specifier] = pin.specifier
        assert specifier.operator == "==", (lock, pin)
        version = Version(specifier.version)
        assert not version.is_prerelease, (lock, pin)
        assert version >= LOWEST.get(pin.name, Version("0")), (lock, pin)
        assert pin.url is None, (lock, pin)


def test_the_threat_model_names_tests_that_are_there() -> None:
    text = (ROOT / "THREAT_MODEL.md").read_text("utf-8")
    named = set(re.findall(r"`(tests/[\w/.]+)`", text))
    assert len(named) > 30
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_threat_has_a_test() -> None:
    text = (ROOT / "THREAT_MODEL.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| what they try")]
    assert len(rows) > 30
    assert [row for row in rows if "`tests/" not in row] == []
