"""Calls to an S3 store: each with a time limit, tried again within a budget, its errors in the domain's words."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import structlog
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as NoConnectionError,
)

from shared.errors import BlobStoreUnavailable, LarderError, StorageFull

T = TypeVar("T")

CALL_SECONDS = 15.0
"""How long one attempt of a call may take that moves few bytes."""
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 0.1
_LAST_START_SECONDS = 10.0
"""No attempt begins later than this after the first: somebody waits for the answer."""
_BUDGET = 100
_PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})
_PASSING_CODES = frozenset(
    {
        "BadDigest",  # The bytes were damaged on their way; they are sent anew.
        "ConditionalRequestConflict",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "XAmzContentSHA256Mismatch",
    }
)
_FULL_CODES = frozenset({"InsufficientStorage", "QuotaExceeded", "StorageFull", "XMinioStorageFull"})
_FULL_STATUS = 507

# What goes wrong between here and the store; what botocore itself refuses (a bad parameter) is a fault of ours.
TRANSPORT_ERRORS = (NoConnectionError, HTTPClientError, aiohttp.ClientError, OSError, TimeoutError)

log = structlog.get_logger()


class Refusal(Exception):
    """The store has answered with an error that the caller expects.

    Args:
        code: S3's word for it; the bare status where there is no body.
        attempt: which attempt was answered so; before it, others may have had an effect that nobody heard of.
    """

    def __init__(self, code: str, *, attempt: int) -> None:
        super().__init__(code)
        self.code = code
        self.attempt = attempt


class Calls:
    """Carries out calls. All of one store share a budget of retries, so that a store in trouble is not asked more."""

    def __init__(self) -> None:
        self._budget = float(_BUDGET)

    async def __call__(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        seconds: float = CALL_SECONDS,
        expected: frozenset[str] = frozenset(),
    ) -> T:
        """Return what the call returns; begin it anew when it failed for a reason that may pass.

        Args:
            call: makes one attempt; it must be harmless to repeat.
            seconds: how long one attempt may take.
            expected: codes of S3's errors, or bare statuses, that the caller wants to hear of.

        Raises:
            Refusal: an expected error.
            StorageFull: the store takes no more.
            BlobStoreUnavailable: any other.
        """
        now = asyncio.get_running_loop().time
        began_at = now()
        for attempt in range(1, _ATTEMPTS + 1):
            failure: LarderError
            cause: Exception
            try:
                async with asyncio.timeout(seconds):
                    result = await call()
            except ClientError as error:
                if _code(error) in expected:
                    raise Refusal(_code(error), attempt=attempt) from None
                failure, cause, may_pass = _translated(error), error, _may_pass(error)
            except TRANSPORT_ERRORS as error:
                failure, cause, may_pass = unavailable(error), error, True
            except BotoCoreError as error:
                failure, cause, may_pass = unavailable(error), error, False
            else:
                self._budget = min(self._budget + 0.1, _BUDGET)
                return result
            if not may_pass or attempt == _ATTEMPTS or now() - began_at > _LAST_START_SECONDS or self._budget < 1:
                raise failure from cause
            self._budget -= 1
            log.info("blobs.call_repeated", attempt=attempt, error=str(failure))
            # Not all at once: those who failed together come again apart.
            await asyncio.sleep(random.uniform(0.5, 1) * _FIRST_PAUSE_SECONDS * 3 ** (attempt - 1))  # noqa: S311
        raise AssertionError("the last attempt returns or raises")


def unavailable(error: BaseException) -> BlobStoreUnavailable:
    """Return the domain's error for one that came from below; only its kind is told, for its text holds URLs."""
    return BlobStoreUnavailable(f"the store does not answer: {type(error).__name__}")


def _translated(error: ClientError) -> LarderError:
    code, status = _code(error), _status(error)
    if code in _FULL_CODES or status == _FULL_STATUS:
        return StorageFull(code)
    return BlobStoreUnavailable(f"the store answers {status} {code}")


def _may_pass(error: ClientError) -> bool:
    return _code(error) in _PASSING_CODES or _status(error) in _PASSING_STATUSES


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
