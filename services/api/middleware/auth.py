"""Run the guard of the route before anything else of it, the reading of the body above all."""

from aiohttp import web
from aiohttp.typedefs import Handler

from services.api.credentials import read_credentials
from services.api.guards import Guard
from services.api.keys import ADMIT, CLIENT, FAILED_ATTEMPTS, PRINCIPAL
from services.api.problems import TooManyFailures
from services.api.routes import endpoint_of
from shared.credentials import Door
from shared.errors import TokenExpired, TokenRevoked, Unauthenticated
from shared.ports.failed_attempts import IpAddress
from shared.principals import Anonymous
from shared.usecases.authentication import brings_secret


@web.middleware
async def run_guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let those pass whom the route's guard lets pass, unless they have brought too many wrong secrets of late."""
    endpoint = endpoint_of(request)
    if endpoint is not None:
        await _admit(request, endpoint.guard)
        request[ADMIT] = endpoint.guard.admit
    return await handler(request)


async def _admit(request: web.Request, guard: Guard) -> None:
    """Run the guard, and count the secrets that it did not know.

    Raises:
        TooManyFailures: this client's secrets are not looked at for now, or this one was wrong and one too many.
    """
    door, client = guard.door, request[CLIENT]
    if door is None or client is None:
        await guard.admit(request)
        return
    blocked_seconds = request.app[FAILED_ATTEMPTS].seconds_blocked(client)
    if blocked_seconds > 0 and _brings_secret(request, door):
        raise TooManyFailures(blocked_seconds)
    try:
        await guard.admit(request)
    except (Unauthenticated, TokenExpired, TokenRevoked):
        await _note_failure(request, door, client)
        raise
    if isinstance(request.get(PRINCIPAL), Anonymous):
        # Where nobody need say who they are, some wrong secrets count for none; they are guesses all the same.
        await _note_failure(request, door, client)


async def _note_failure(request: web.Request, door: Door, client: IpAddress) -> None:
    """Count a failure, if it is one: who brought no secret has not tried.

    Raises:
        TooManyFailures: it was one too many.
    """
    if not _brings_secret(request, door):
        return
    blocked_seconds = await request.app[FAILED_ATTEMPTS].note(client)
    if blocked_seconds > 0:
        raise TooManyFailures(blocked_seconds)


def _brings_secret(request: web.Request, door: Door) -> bool:
    return brings_secret(read_credentials(request), door)
