"""A registry without HTTP: real rows, real blobs, a real Redis, and no worker but the one a test plays itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.worker.inspection import DistributionInspector
from services.worker.worker import scratch_of
from shared.backends import Backends, open_backends
from shared.credentials import BasicPair, Credentials
from shared.models import InstanceSettings, PackageFile, UploadChecks
from shared.settings import Settings, read_settings
from shared.usecases.admission import Admission
from shared.usecases.bootstrap import Bootstrap
from shared.usecases.memo import Memo
from shared.usecases.process import ProcessPackageFile
from shared.usecases.remembered_admission import RememberedAdmission
from shared.usecases.upload import UploadForm, UploadOutcome, UploadPackageFile
from shared.usecases.visits import Visit
from shared.whole_databases import migrate_database
from tests.engines import blobs_at, settings_of
from tests.redis_server import RedisServer, redis_is_given_time, redis_server
from tests.rows import count
from tests.uncounted_writes import every_change_is_counted

__all__ = ["every_change_is_counted", "redis_is_given_time", "redis_server"]

_TOKEN = "glpat-a-token-of-the-tests"


@dataclass(frozen=True, slots=True)
class Registry:
    """Open backends, and somebody who may publish."""

    settings: Settings
    backends: Backends
    visit: Visit
    inspector: DistributionInspector

    async def upload(
        self,
        content: bytes,
        *,
        file_name: str,
        name: str = "pkg",
        version: str = "1.0",
        requires_python: str | None = None,
        checks: UploadChecks = UploadChecks.STRICT,
        needs_sha256: bool = False,
        wait_seconds: float = 0.0,
        **fields: str,
    ) -> UploadOutcome:
        """Upload as the API does; by default without waiting for the verdict."""
        upload = UploadPackageFile(
            store=self.backends.store,
            blobs=self.backends.blobs,
            queue=self.backends.queue,
            checks=checks,
            needs_sha256=needs_sha256,
            upload_max_seconds=3600,
            upload_wait=lambda _: wait_seconds,
        )
        form = UploadForm(
            name=name,
            version=version,
            file_name=file_name,
            requires_python=requires_python,
            sha256_digest=fields.get("sha256_digest"),
            fields={key: [value] for key, value in {**fields, "requires_python": requires_python or ""}.items()},
        )
        async with upload.open_blob() as blob:
            await blob.write(content)
            return await upload(self.visit, form, blob)

    def process(self, checks: UploadChecks = UploadChecks.STRICT, *, is_fips: bool = False) -> ProcessPackageFile:
        """Return the worker's use case."""
        return ProcessPackageFile(
            store=self.backends.store,
            blobs=self.backends.blobs,
            queue=self.backends.queue,
            inspector=self.inspector,
            checks=checks,
            is_fips=is_fips,
            scratch=scratch_of(self.settings),
        )

    async def file(self, file_id: int = 1) -> PackageFile | None:
        """Return a file row."""
        async with self.backends.store.reading() as rows:
            return await rows.packages.file(file_id)  # type: ignore[arg-type]  # an id is an id

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return await count(self.settings.database_url, table)

    async def blobs(self) -> list[str]:
        """Return the names of all blobs, and of what writers have begun."""
        return await asyncio.to_thread(blobs_at, self.settings.blob_url)


@pytest.fixture
def environment() -> dict[str, str]:
    """Give the settings that a test wants beside the usual ones; tests override it."""
    return {}


@asynccontextmanager
async def opened_registry(settings: Settings) -> AsyncIterator[Registry]:
    """Open a registry, which is made where it is not there yet."""
    await migrate_database(settings)
    async with open_backends(settings) as backends, DistributionInspector() as inspector:
        project = await Bootstrap(backends.store)(_TOKEN)
        admission = RememberedAdmission(
            Admission(backends.store, InstanceSettings()), Memo(backends.change_checks, limit_bytes=0)
        )
        visit = await admission.to_push(
            project.project_id, Credentials(basic=BasicPair("root", _TOKEN)), accepted=("api",)
        )
        yield Registry(settings=settings, backends=backends, visit=visit, inspector=inspector)


@pytest.fixture
async def registry(environment: dict[str, str], tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Registry]:
    """Open a registry of the test's own."""
    told = {"DATA_DIR": str(tmp_path), "REDIS_URL": redis_server.url, **settings_of(tmp_path)}
    settings = read_settings({**{f"LARDER_{name}": value for name, value in told.items()}, **environment})
    async with opened_registry(settings) as opened:
        yield opened
