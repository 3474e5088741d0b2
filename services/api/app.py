"""The web application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aiohttp import web

from services.api.keys import (
    DESCRIPTION,
    FAILED_ATTEMPTS,
    LIFECYCLE,
    LINES,
    METRICS,
    NUMBERS,
    PAGES,
    READY_ANSWERS,
    SETTINGS,
    UPLOAD_SLOTS,
    USE_CASES,
    VERSION,
)
from services.api.lifecycle import Lifecycle
from services.api.metrics import ApiMetrics
from services.api.middleware.auth import run_guard
from services.api.middleware.errors import answer_errors
from services.api.middleware.request_log import finish_head, log_request
from services.api.openapi import describe_api
from services.api.presenters.pages import load_pages
from services.api.ready_answers import ReadyAnswers
from services.api.routes import ENDPOINTS, add_routes
from services.api.upload_slots import UploadSlots
from services.api.use_cases import UseCases, make_use_cases
from shared.backends import Backends, open_backends
from shared.log import JsonLines
from shared.metrics import Numbers, show_pools
from shared.settings import Settings


def create_app(settings: Settings, *, lines: JsonLines | None = None) -> web.Application:
    """Return the application; it opens its backends when it starts and closes them when it ends.

    Args:
        lines: by what it may write lines that are due all the time; None: as all others.
    """
    app = web.Application(middlewares=[log_request, answer_errors, run_guard])
    app[SETTINGS] = settings
    app[METRICS] = ApiMetrics()
    app[LINES] = lines
    add_routes(app)
    app.on_response_prepare.append(finish_head)
    app.cleanup_ctx.append(_live)
    return app


async def _live(app: web.Application) -> AsyncIterator[None]:
    async with open_backends(app[SETTINGS]) as backends:
        app[LIFECYCLE] = lifecycle = Lifecycle(
            grace_seconds=app[SETTINGS].limits.grace_seconds, drain_seconds=app[SETTINGS].drain_seconds
        )
        app[USE_CASES] = use_cases = make_use_cases(app[SETTINGS], backends, is_in_a_hurry=lifecycle.is_in_a_hurry)
        app[FAILED_ATTEMPTS] = backends.failed_attempts
        app[READY_ANSWERS] = _ready_answers(app, backends, lifecycle, use_cases)
        show_pools(app[METRICS].registry, backends.store.pools)
        app[NUMBERS] = Numbers(
            app[METRICS].registry,
            title="larder api",
            data_dir=app[SETTINGS].data_dir,
            bring_up=partial(_count_what_is_remembered, app),
        )
        app[VERSION] = await asyncio.to_thread(_installed_version)
        # Made when somebody asks for it first: few ever do, and it takes as long as all else of a start.
        describe: Callable[[], dict[str, Any]] = cache(partial(describe_api, ENDPOINTS, version=app[VERSION]))
        app[DESCRIPTION] = describe
        app[PAGES] = await asyncio.to_thread(load_pages)
        app[UPLOAD_SLOTS] = UploadSlots(app[SETTINGS].limits.max_uploads_per_principal)
        try:
            async with (
                use_cases.note_download.writing(),
                app[NUMBERS].shared(),
                lifecycle.looking_for_blob_store(use_cases.check_readiness.blob_store),
            ):
                yield
        finally:
            await use_cases.admission.finish()


def _ready_answers(
    app: web.Application, backends: Backends, lifecycle: Lifecycle, use_cases: UseCases
) -> ReadyAnswers | None:
    limit_bytes = app[SETTINGS].ready_answer_bytes
    if not limit_bytes:
        return None
    return ReadyAnswers(
        backends.change_checks,
        lifecycle,
        backends.failed_attempts,
        note_download=use_cases.note_download,
        metrics=app[METRICS],
        lines=app[LINES],
        limit_bytes=limit_bytes,
    )


def _count_what_is_remembered(app: web.Application) -> None:
    memo, ready = app[USE_CASES].memo, app[READY_ANSWERS]
    app[METRICS].note_lookups(found=memo.found, missed=memo.missed)
    if ready is not None:
        app[METRICS].note_ready_answers(given=ready.given, outdated=ready.outdated)


def _installed_version() -> str:
    try:
        return version("larder")
    except PackageNotFoundError:
        return "unknown"  # It runs from its source, without being installed.
