"""A migration that runs out of room, at whatever point: the old database is left, and the next start migrates it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shared.metadata.migrate import migrate
from shared.metadata.schema import REVISION
from tests.e2e.processes import run_larder
from tests.faults.checker import Findings
from tests.faults.data_directory import DataDirectory
from tests.faults.disks import SmallDisk, small_disk
from tests.faults.ledger import Ledger
from tests.faults.report import FaultReport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_MIB = 1024 * 1024
_DISK_BYTES = 48 * _MIB
_ROWS = 40_000
_ROOMS_BYTES = (0, 64 * 1024, 512 * 1024, _MIB + _MIB // 2)
