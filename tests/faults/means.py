"""What a machine may lack for some faults: a tracer, the right to mount. Nothing is skipped where all must run."""

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the test for this reason, or fail it where REQUIRE_BACKENDS=1 is set."""
    if os.environ.get("REQUIRE_BACKENDS") == "1":
        pytest.fail(f"{what}; but REQUIRE_BACKENDS=1 is set")
    pytest.skip(what)
