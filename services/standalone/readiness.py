"""Ask a registry over its socket whether it is ready, with nothing but the standard library."""

import asyncio
import time

from services.standalone.listening import Address

_ATTEMPT_SECONDS = 5.0
_POLL_SECONDS = 0.1
_ANSWER_BYTES = 4096


async def wait_until_ready(address: Address, *, timeout_seconds: float) -> bool:
    """Return True as soon as `GET /-/readiness` says 200, False when it did not for that long."""
    deadline = time.monotonic() + timeout_seconds
    while not await _is_ready(address):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


async def _is_ready(address: Address) -> bool:
    request = f"GET /-/readiness HTTP/1.1\r\nHost: {address.authority}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_ATTEMPT_SECONDS):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            try:
                writer.write(request.encode("ascii"))
                answer = await reader.read(_ANSWER_BYTES)
            finally:
                writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return answer.split(b" ", 2)[1:2] == [b"200"]
