"""A whole registry for tests, and what they look at from outside and from behind."""

import asyncio
import hashlib
import io
import json
import stat
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from sqlalchemy import Executable

from services.api.app import create_app
from services.api.keys import LIFECYCLE, READY_ANSWERS
from services.api.lifecycle import Lifecycle
from services.api.ready_answers import ReadyAnswers
from services.api.server import listening
from services.worker.inspection import DistributionInspector, InspectionLimits
from services.worker.metrics import WorkerMetrics
from services.worker.worker import create_worker
from shared.backends import Backends, open_backends
from shared.models import AccessLevel, Project, ProjectId, RegistryAccess, User, Visibility
from shared.settings import Settings
from shared.usecases.bootstrap import Bootstrap
from shared.usecases.token_secrets import digest_of
from tests import rows
from tests.engines import blobs_at

ROOT_TOKEN = "glpat-a-token-of-the-tests"
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_PATIENCE = aiohttp.ClientTimeout(total=120)


@dataclass(frozen=True, slots=True)
class Answer:
    """All of a response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that runs in this process.

    Args:
        backends: the test's own, beside those of the API and the worker.
        project_id: `root/packages`.
    """

    url: str
    settings: Settings
    backends: Backends
    lifecycle: Lifecycle
    ready_answers: ReadyAnswers | None
    session: aiohttp.ClientSession
    project_id: ProjectId

    @property
    def pypi(self) -> str:
        return self.pypi_of(self.project_id)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def pypi_of(self, project: int | str) -> str:
        return f"{self.url}/api/v4/projects/{quote(str(project), safe='')}/packages/pypi"

    async def ask(
        self, method: str, url: str, *, token: str | None = ROOT_TOKEN, data: Any = None, **headers: str
    ) -> Answer:
        """Send a request, by default as the administrator; follow no redirect."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["PRIVATE-TOKEN"] = token
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        async with self.session.request(
            method,
            url if url.startswith("http") else f"{self.url}{url}",
            headers=sent,
            data=body,
            allow_redirects=False,
        ) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def get(self, url: str, *, token: str | None = ROOT_TOKEN, **headers: str) -> Answer:
        return await self.ask("GET", url, token=token, **headers)

    async def post_json(self, url: str, body: Any, *, token: str | None = ROOT_TOKEN) -> Answer:
        return await self.ask("POST", url, token=token, data=json.dumps(body), Content_Type="application/json")

    async def upload(
        self,
        content: bytes | None,
        /,
        *,
        file_name: str = "pkg-1.0-py3-none-any.whl",
        token: str | None = ROOT_TOKEN,
        to: int | str | None = None,
        method: str = "POST",
        slash: str = "",
        **fields: str,
    ) -> Answer:
        """Upload a file; what is not said is that of `pkg` 1.0."""
        form = aiohttp.FormData(default_to_multipart=True, quote_fields=False)
        for name, value in {"name": "pkg", "version": "1.0", **fields}.items():
            form.add_field(name, value)
        if content is not None:
            form.add_field("content", io.BytesIO(content), filename=file_name)
        url = f"{self.pypi_of(self.project_id if to is None else to)}{slash}"
        return await self.ask(method, url, token=token, data=form)

    async def page(self, name: str) -> Any:
        return (await self.get(f"{self.pypi}/simple/{name}/", Accept=SIMPLE_JSON)).json

    async def add_user(self, username: str, *, is_external: bool = False) -> tuple[User, str]:
        """Add a user and return it with a token."""
        token = f"glpat-token-of-{username}"
        async with self.backends.store.writing() as rows:
            user = await rows.tenants.add_user(
                username=username, name=username, email=f"{username}@localhost", is_admin=False, is_external=is_external
            )
        await self.add_token(user, token)
        return user, token

    async def add_token(
        self,
        user: User,
        secret: str,
        *,
        scopes: tuple[str, ...] = ("api",),
        expires_at: datetime | None = None,
        revoked_at: datetime | None = None,
    ) -> None:
        """Give the user one more token."""
        async with self.backends.store.writing() as rows:
            token = await rows.tokens.add_personal(
                user.id,
                digest=digest_of(secret),
                name=secret,
                scopes=scopes,
                expires_at=expires_at,
            )
            if revoked_at is not None:
                await rows.tokens.revoke(token.id, at=revoked_at)

    async def add_project(
        self,
        path: str,
        *,
        visibility: Visibility = Visibility.PRIVATE,
        registry_access: RegistryAccess = RegistryAccess.ENABLED,
    ) -> Project:
        """Add a project to the group `team`, which everybody can see."""
        async with self.backends.store.writing() as rows:
            group = await rows.tenants.namespace_by_path("team")
            if group is None:
                group = await rows.tenants.add_group(
                    parent=None, name="Team", path="team", description="", visibility=Visibility.PUBLIC
                )
            return await rows.tenants.add_project(
                namespace=group,
                name=path.title(),
                path=path,
                description="",
                visibility=visibility,
                registry_access=registry_access,
                creator_id=None,
            )

    async def add_member(self, project: Project, user: User, level: AccessLevel) -> None:
        async with self.backends.store.writing() as rows:
            await rows.tenants.add_project_member(project, user.id, level=level, expires_at=None)

    async def rows(self, statement: str | Executable, **values: Any) -> list[tuple[Any, ...]]:
        """Carry out a statement behind the registry's back; return the rows that it gives."""
        return await rows.execute(self.settings.database_url, statement, **values)

    async def traces(self) -> dict[str, int]:
        """Return how many packages, files and blobs there are, temporary ones among the blobs."""
        counts = {table: await rows.count(self.settings.database_url, table) for table in ("packages", "package_files")}
        return counts | {"blobs": len(await self.blobs())}

    async def blobs(self) -> list[str]:
        """Return the keys of all blobs, and what writers have begun."""
        return await asyncio.to_thread(blobs_at, self.settings.blob_url)

    def blobs_on_disk(self) -> list[Path]:
        return [path for path in (self.settings.data_dir / "blobs").rglob("*") if path.is_file()]

    def blobs_held_open(self) -> int:
        """Return how many files below the blob directory this process holds open, nameless ones included."""
        found = 0
        for handle in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                is_below = str(handle.readlink()).startswith(str(self.settings.data_dir / "blobs"))
                found += is_below and stat.S_ISREG(handle.stat().st_mode)
        return found


NOTHING = {"packages": 0, "package_files": 0, "blobs": 0}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@asynccontextmanager
async def running_registry(settings: Settings) -> AsyncIterator[Registry]:
    """Run the API on a port of its own; the database is there and migrated."""
    app = create_app(settings)
    async with (
        open_backends(settings) as backends,
        listening(app, None) as server,
        aiohttp.ClientSession(timeout=_PATIENCE, skip_auto_headers=["Accept-Encoding"]) as session,
    ):
        first = await Bootstrap(backends.store)(ROOT_TOKEN)
        port = server.sockets[0].getsockname()[1]
        yield Registry(
            url=f"http://127.0.0.1:{port}",
            settings=settings,
            backends=backends,
            lifecycle=app[LIFECYCLE],
            ready_answers=app[READY_ANSWERS],
            session=session,
            project_id=first.project_id,
        )


@asynccontextmanager
async def running_worker(settings: Settings) -> AsyncIterator[None]:
    """Run the worker in this process until the block ends."""
    inspector = DistributionInspector(InspectionLimits.of(settings.limits))
    async with open_backends(settings) as backends, AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        # Not entered: its process, which few tests need, is started for the first upload.
        stack.push_async_exit(inspector)
        worker = create_worker(settings, backends, inspector, metrics=WorkerMetrics(), handles_signals=False)
        has_started = asyncio.Event()

        async def started(_: dict[Any, Any]) -> None:
            has_started.set()

        worker.on_startup = started  # type: ignore[assignment]  # arq's own type wants a name for the argument
        running = group.create_task(worker.async_run())
        await has_started.wait()
        await backends.queue.beat("worker of the tests")
        try:
            yield
        finally:
            # Cancelled, arq would leave connections open.
            worker.end_when_idle()
            async with asyncio.timeout(60):
                await running
            with warnings.catch_warnings():
                # arq calls what redis-py has another name for by now.
                warnings.simplefilter("ignore", DeprecationWarning)
                await worker.close()
