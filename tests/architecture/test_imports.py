"""Who may import whom: dependencies point inward, and drivers stay behind their ports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_WORDS = {
    "shared.models",
    "shared.principals",
    "shared.names",
    "shared.errors",
    "shared.lines",
    "shared.metadata_headers",
    "shared.limits",
    "shared.pages",
    "shared.protection",
    "shared.status_markers",
    "shared.yanks",
}
_RULES = {"shared.access", "shared.attestations", "shared.blob_keys", "shared.credentials", "shared.forwarding"}
_CORE = _WORDS | _RULES | {"packaging"}
_LOGGING = {"shared.log", "structlog"}
_METRICS = {"shared.metrics", "prometheus_client"}
_ADAPTER = _WORDS | _LOGGING | {"shared.ports", "shared.blob_keys", "packaging"}
_SERVICE = _CORE | _LOGGING | {"shared.ports", "shared.usecases", "shared.backends", "shared.settings"}

# What a module may import besides the standard library and its own package. The longest name that fits is its rule.
MAY_IMPORT: dict[str, set[str]] = {
    "shared.models": _CORE,
    "shared.principals": _CORE,
    "shared.names": _CORE,
    "shared.errors": _CORE,
    "shared.lines": _CORE,
    "shared.metadata_headers": _CORE,
    "shared.limits": _CORE,
    "shared.pages": _CORE,
    "shared.status_markers": _CORE,
    "shared.yanks": _CORE,
    "shared.protection": _CORE,
    "shared.access": _CORE,
    "shared.attestations": _CORE,
    "shared.blob_keys": _CORE,
    "shared.credentials": _CORE,
    "shared.forwarding": _CORE,
    "shared.distributions": _WORDS | {"packaging"},
    "shared.fips": set(),
    "shared.settings": _WORDS | {"shared.fips"},
    "shared.metrics": {"prometheus_client", "structlog", "shared.ports"},
    "shared.log": {"shared.log_lines", "shared.settings", "structlog"},
    "shared.log_lines": {"structlog"},
    "shared.ports": _WORDS,
    "shared.usecases": _CORE | _LOGGING | {"shared.ports"},
    "shared.metadata": _ADAPTER | {"sqlalchemy", "alembic", "aiosqlite"},
    "shared.blobs": _ADAPTER | {"aiofiles"},
    "shared.blobs.s3": _ADAPTER | {"shared.blobs", "aiobotocore", "aiohttp", "botocore", "types_aiobotocore_s3"},
    "shared.queue": _ADAPTER | {"arq", "redis"},
    "shared.backends": _WORDS
    | {"shared.settings", "shared.ports", "shared.metadata", "shared.blobs", "shared.queue", "arq"}
    | {"asyncpg", "aiobotocore"},
    "shared.whole_databases": _WORDS | {"shared.settings", "shared.ports", "shared.metadata"},
    "services.api": _SERVICE
    | _METRICS
    | {"aiohttp", "apispec", "backports", "compression", "jinja2", "marshmallow", "multidict", "yarl"},
    "services.worker": _SERVICE | _METRICS | {"shared.distributions", "arq", "redis"},
    "services.maintenance": _SERVICE | {"services.standalone", "shared.whole_databases"},
    # It prepares the database at first start through a use case; all else it does by starting processes.
    "services.standalone": _WORDS
    | _LOGGING
    | {"shared.settings", "shared.backends", "shared.whole_databases", "shared.usecases", "redis"},
}
# The console command opens every door.
EXEMPT = {"services.cli"}
OPTIONAL_DRIVERS = ("asyncpg", "aiobotocore")

_STANDARD = sys.stdlib_module_names | {"_typeshed"}
_IMPORTING_CALLS = {"import_module", "__import__"}


def test_every_module_imports_only_what_its_layer_may() -> None:
    found = [violation for path in _modules() for violation in violations(_name(path), path.read_text("utf-8"))]

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("shared.models", "import shared.ports.blob_store"),
        ("shared.models", "import aiohttp"),
        ("shared.names", "from shared import usecases"),
        ("shared.ports.job_queue", "from arq.connections import ArqRedis"),
        ("shared.usecases.upload", "from shared.metadata.store import open_metadata_store"),
        ("shared.usecases.upload", "def upload():\n    import redis"),
        ("shared.usecases.upload", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from aiohttp import web"),
        ("shared.usecases.upload", "from importlib import import_module\nimport_module('sqlalchemy')"),
        ("shared.usecases.upload", "import importlib\nimportlib.import_module(name)"),
        ("shared.usecases.upload", "from .browse import Browse"),
        ("shared.distributions", "from shared.ports.inspector import Inspector"),
        ("shared.blobs.local", "import aiobotocore"),
        ("shared.metadata.store", "from shared.usecases.upload import UploadPackageFile"),
        ("shared.backends", "from services.api import app"),
        ("services.api.app", "from services.worker.jobs import process_package_file"),
        ("services.api.handlers.upload", "from shared.metadata import tables"),
        ("services.api.handlers.upload", "import arq, aiohttp"),
        ("services.worker.jobs", "from aiohttp import web"),
        ("services.standalone.supervisor", "from services.api.app import create_app"),
        ("shared.nobody_wrote_a_rule", "import json"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(list(violations(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "shared.models",
            "import json\nfrom shared.names import NormalizedName\nfrom packaging.version import Version",
        ),
        ("shared.usecases.upload", "from shared.usecases.browse import Browse\nfrom shared.ports.blob_store import X"),
        ("shared.metadata.store", "from sqlalchemy.ext.asyncio import AsyncEngine"),
        ("services.worker.jobs", "from arq import Retry\nfrom services.worker.inspection import X"),
        ("services.cli", "from services.api.__main__ import serve"),
    ],
)
def test_an_allowed_import_is_left_alone(module: str, source: str) -> None:
    assert list(violations(module, source)) == []


def test_optional_drivers_are_not_loaded_before_they_are_chosen() -> None:
    script = f"import sys, shared.backends; print([name for name in {OPTIONAL_DRIVERS} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True)

    assert loaded.stdout == "[]\n"


def test_a_process_that_serves_does_not_load_what_migrates() -> None:
    script = "import sys, services.api.__main__, services.worker.__main__; print('alembic' in sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True)

    assert loaded.stdout == "False\n"


def violations(module: str, source: str) -> Iterator[str]:
    """Yield a line for each import of the module that its rule does not allow."""
    if module in EXEMPT:
        return
    rule = max((name for name in MAY_IMPORT if _is_within(module, name)), key=len, default=None)
    if rule is None:
        if source.strip():
            yield f"{module} has no rule: say in MAY_IMPORT what it may import"
        return
    for line, target in _imports(ast.parse(source)):
        if not any(_is_within(target, allowed) for allowed in MAY_IMPORT[rule] | {rule}):
            yield f"{module}:{line} imports {target}, which {rule} may not"


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and full name of all that is imported from outside the standard library, wherever it stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                targets = [alias.name for alias in names]
            case ast.ImportFrom(module=module, names=names, level=0):
                targets = [f"{module}.{alias.name}" for alias in names]
            case ast.ImportFrom():
                targets = ["a relative name"]
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called in _IMPORTING_CALLS:
                targets = [_constant(node)]
            case _:
                continue
        yield from ((node.lineno, target) for target in targets if target.partition(".")[0] not in _STANDARD)


def _constant(call: ast.Call) -> str:
    match call.args:
        case [ast.Constant(value=str(name)), *_]:
            return name
    return "a computed name"


def _is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _modules() -> list[Path]:
    return sorted(path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
