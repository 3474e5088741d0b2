"""Whether this process lives, and whether it wants requests. No token, and nothing secret in the answers.

Source: contract, control plane 8; lib/gitlab/health_checks, app/controllers/health_controller.rb.
"""

from typing import Any

from aiohttp import web

from services.api.keys import LIFECYCLE, USE_CASES
from services.api.lifecycle import STOPPING
from services.api.presenters.json_response import json_response
from shared.usecases.readiness import Check

_YES = ("1", "true", "True")


async def health(_: web.Request) -> web.StreamResponse:
    """Say that the process answers."""
    return web.Response(text="GitLab OK")


async def liveness(_: web.Request) -> web.StreamResponse:
    """Say that the process answers; a process that does not is to be restarted."""
    return json_response({"status": "ok"})


async def readiness(request: web.Request) -> web.StreamResponse:
    """Say whether requests should be sent here, and with `all=1` how each part fares."""
    lifecycle, wants_all = request.app[LIFECYCLE], request.query.get("all") in _YES
    if lifecycle.is_draining and not wants_all:
        return _answer(STOPPING, {})  # At once: whoever sends requests here is to learn of it in time.
    report = await request.app[USE_CASES].check_readiness()
    parts = {
        "database_check": _told(report.database),
        "blob_store_check": _told(report.blob_store),
        "redis_check": _told(report.redis),
        "worker_check": _told(report.worker),
    }
    return _answer(lifecycle.obstacle(report), parts if wants_all else {})


def _answer(obstacle: str | None, parts: dict[str, Any]) -> web.StreamResponse:
    master = _told(Check(is_ok=obstacle is None, message=obstacle))
    body = {"status": "failed" if obstacle else "ok", "master_check": master, **parts}
    return json_response(body, status=503 if obstacle else 200, headers={"Cache-Control": "no-store"})


def _told(check: Check) -> list[dict[str, str]]:
    if check.is_ok:
        return [{"status": "ok"}]
    return [{"status": "failed", "message": check.message or ""}]
