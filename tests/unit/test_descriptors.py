"""As many connections as the machine gives this process files for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_SCRIPT = """
import json, resource, sys
from services.api.connections import provide_descriptors
from shared.log import configure_logging
from shared.settings import LogFormat
soft, hard, wanted = map(int, sys.argv[1:])
configure_logging(LogFormat.JSON, process="api")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
most = provide_descriptors(wanted)
print(json.dumps([most, *resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "most", "raised_to"),
    [
        (256, 4096, 1000, 1000, 2512),
        (256, 1024, 1000, 256, 1024),
        (4096, 4096, 1000, 1000, 4096),
    ],
)
@pytest.mark.slow
def test_the_soft_limit_is_raised_as_far_as_it_is_needed(
    soft: int, hard: int, wanted: int, most: int, raised_to: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(soft), str(hard), str(wanted)],
        cwd=_ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(done.stdout) == [most, raised_to, hard]
    assert ("api.few_descriptors" in done.stderr) == (most < wanted)
