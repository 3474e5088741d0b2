"""The order of an upload on the disk, seen by a tracer: bytes, then their name, and only then the row."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends import tracer
from tests.e2e.processes import clean_environment, run_larder

_UPLOAD = """
import asyncio, sys
from shared.backends import open_backends
from shared.credentials import BasicPair, Credentials
from shared.models import InstanceSettings, UploadChecks
from shared.settings import read_settings
from shared.usecases.admission import Admission
from shared.usecases.memo import Memo
from shared.usecases.remembered_admission import RememberedAdmission
from shared.usecases.upload import UploadForm, UploadPackageFile
import os

async def main():
    settings = read_settings(os.environ)
    async with open_backends(settings) as backends:
        credentials = Credentials(basic=BasicPair("root", settings.root_token))
        admission = RememberedAdmission(
            Admission(backends.store, InstanceSettings()), Memo(backends.change_checks, limit_bytes=0)
        )
        visit = await admission.to_push(1, credentials, accepted=("api",))
        upload = UploadPackageFile(
            store=backends.store, blobs=backends.blobs, queue=backends.queue, checks=UploadChecks.STRICT,
            upload_max_seconds=3600, needs_sha256=False, upload_wait=lambda _: 0.0,
        )
        form = UploadForm(
            name="pkg", version="1.0", file_name="pkg-1.0.tar.gz", requires_python=None, sha256_digest=None, fields={}
        )
        async with upload.open_blob() as blob:
            await blob.write(b"bytes")
            print(await upload(visit, form, blob))

asyncio.run(main())
"""
_CALL = re.compile(r"(fsync|fdatasync|linkat)\((.*)\) = 0")
_ANGLED = re.compile(r"<([^>]*)>")


@pytest.mark.slow
def test_the_row_is_committed_after_the_bytes_and_their_name_are_durable(tmp_path: Path) -> None:
    data_dir, log = tmp_path / "var", tmp_path / "trace"
    settings = {
        "DATA_DIR": str(data_dir),
        "ROOT_TOKEN": "glpat-a-token-of-the-tests",
        "REDIS_URL": f"unix://{tmp_path}/nobody-listens",
    }
    assert run_larder("migrate", settings).returncode == 0

    done = subprocess.run(
        [
            tracer(),
            "-f",
            "-y",
            "-qq",
            "-e",
            "trace=fsync,fdatasync,linkat",
            "-o",
            str(log),
            sys.executable,
            "-c",
            _UPLOAD,
        ],
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.endswith("UploadOutcome.ACCEPTED\n"), done.stderr
    calls = filter(None, map(_CALL.search, log.read_text(encoding="utf-8").splitlines()))
    told = [(call[1], _ANGLED.findall(call[2])[-1].removeprefix(str(data_dir)).strip("/")) for call in calls]
    linked = next(number for number, (name, _) in enumerate(told) if name == "linkat")
    day = told[linked][1]
    synced_bytes = [
        number for number, (name, where) in enumerate(told) if name == "fsync" and where.startswith(f"{day}/")
    ]
    synced_name = [number for number, one in enumerate(told) if one == ("fsync", day)]
    committed = [number for number, (_, where) in enumerate(told) if where == "larder.sqlite3-wal"]
    assert synced_bytes
    assert synced_bytes[0] < linked < synced_name[0]
    assert [number for number in committed if number > synced_name[0]], "the row was never committed durably"
    assert [number for number in committed if synced_bytes[0] < number < synced_name[0]] == []
