"""Answers to requests that were seen before, byte for byte: given by the connection itself, without parsing anything.

An answer that a handler has offered is kept under a digest of the whole head that asked for it. When a connection that
waits for a request receives exactly these bytes again, the answer may only be another for one of four reasons:

- something that it was made of has changed: it carries the stamps of all values that the memory handed out for it
  (`memo.traced`), and is given only after a look at their counters that began when the request had come;
- the clock: it carries since and until when it holds, which is at most until a use of its token is to be noted;
- who is at the other end: what proxies say counts for those alone that are trusted, so their address is in the digest;
- what the process is about: one that drains, a client that is blocked, a connection that cannot take it.

Whatever speaks against it, the bytes go the ordinary way, through the parser, and what comes out is kept in its place.

All requests that are received in one turn of the loop are answered at its end, after one look for all of them.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import structlog

from services.api.conditions import http_date
from services.api.lifecycle import Lifecycle
from services.api.metrics import ApiMetrics
from services.api.offers import Client, ReadyAnswer
from shared.log import JsonLines
from shared.models import PackageId
from shared.ports.change_checks import ChangeChecks, Stamps
from shared.ports.failed_attempts import FailedAttempts

log = structlog.get_logger()

LONGEST_HEAD_BYTES = 4096
_LARGEST_PART = 16
"""What takes more than this part of the whole is not kept."""
_ID_BYTES = 10
_NEW = {"client": '"%b"', "seconds": "%.6f"}
_END = b"\r\n\r\n"


class Asker(Protocol):
    """The connection that a request came from.

    Args:
        asked: its request that waits for a ready answer.
        client: who is at its other end; None when that is a proxy.
    """

    asked: "Asked | None"
    client: Client | None

    def can_be_answered(self) -> bool:
        """Say whether it is open, waits for a request, and has sent all that it was given before."""
        ...

    def answer(self, data: bytes, at: float) -> None:
        """Send the whole answer to the request that came last, at this instant by the loop's clock."""
        ...

    def receive(self, data: bytes) -> None:
        """Let bytes go the ordinary way."""
        ...


class Asked(NamedTuple):  # Made for each request: a dataclass that is frozen takes three times as long.
    """A request for which an answer is ready, if it still holds.

    Args:
        came_at: by the loop's clock.
    """

    asker: Asker
    head: bytes
    key: bytes
    answer: ReadyAnswer
    came_at: float


def _now() -> datetime:
    return datetime.now(UTC)


@lru_cache(1)  # To write out a time takes as long as half an answer.
def _texts_of(second: int) -> tuple[bytes, bytes]:
    """Return the second as HTTP writes it, and as the log does."""
    instant = datetime.fromtimestamp(second, UTC)
    return http_date(instant).encode(), instant.strftime("%Y-%m-%dT%H:%M:%S").encode()


class ReadyAnswers:
    """Keeps answers within a bound, and gives them; those that nobody has asked for the longest go first.

    Args:
        given: how many answers were.
        outdated: how many were not, because what they were made of had changed.
    """

    def __init__(
        self,
        checks: ChangeChecks,
        lifecycle: Lifecycle,
        failed_attempts: FailedAttempts,
        *,
        note_download: Callable[[PackageId], None],
        metrics: ApiMetrics,
        lines: JsonLines | None,
        limit_bytes: int,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """Make it, empty.

        Args:
            limit_bytes: about how much it may take.
            now: the clock, in UTC.
        """
        self._checks = checks
        self._lifecycle = lifecycle
        self._failed_attempts = failed_attempts
        self._note_download = note_download
        self._metrics = metrics
        self._lines = lines
        self._limit_bytes = limit_bytes
        self._now = now
        self._answers: OrderedDict[bytes, ReadyAnswer] = OrderedDict()
        self._total_bytes = 0
        # Heads hold secrets: what is kept of them tells nobody anything who does not know this.
        self._secret = hashlib.sha256(secrets.token_bytes(64))
        self._asked: list[Asked] = []
        self._looking: set[asyncio.Task[None]] = set()
        self.given = 0
        self.outdated = 0

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._answers)

    def digest(self, peer: str) -> "hashlib._Hash":
        """Return what the digests of all heads of one connection begin with.

        Args:
            peer: the address of a proxy that is trusted; empty for anybody else.
        """
        begun = self._secret.copy()
        begun.update(f"{peer}\n".encode())
        return begun

    def line(self, fields: Mapping[str, Any]) -> bytes | None:
        """Return the form of the line in the request log; None where structlog writes it."""
        return self._lines.form("request.finished", fields, new=_NEW) if self._lines else None

    def find(self, key: bytes) -> ReadyAnswer | None:
        """Return the answer to a head with this digest, whether or not it still holds."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def keep(self, key: bytes, answer: ReadyAnswer) -> None:
        """Keep the answer to a head with this digest, in the place of another."""
        self._forget(key)
        if answer.cost_bytes > self._limit_bytes // _LARGEST_PART:
            return
        self._answers[key] = answer
        self._total_bytes += answer.cost_bytes
        while self._total_bytes > self._limit_bytes:
            self._forget(next(iter(self._answers)))

    def ask(self, asked: Asked) -> None:
        """Have the request answered at the end of this turn of the loop, one way or the other."""
        asked.asker.asked = asked
        self._lifecycle.begin_request()
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._asked.append(asked)

    def _answer_all(self) -> None:
        asked, self._asked = self._asked, []
        try:
            held = self._checks.hold_at_once([one.answer.terms.stamps for one in asked])
        except BaseException:
            self._give(asked, [False] * len(asked))
            raise
        if held is not None:
            self._give(asked, held)
            return
        task = asyncio.get_running_loop().create_task(self._answer_later(asked), name="larder ready answers")
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _answer_later(self, asked: list[Asked]) -> None:
        hold = False
        try:
            stamps = Stamps.of_all(one.answer.terms.stamps for one in asked)
            hold = stamps is not None and await self._checks.hold(stamps)
        finally:
            self._give(asked, [hold] * len(asked))

    def _give(self, asked: list[Asked], held: list[bool]) -> None:
        now, at = self._now(), asyncio.get_running_loop().time()
        date, second = _texts_of(int(now.timestamp()))
        timestamp = b"%b.%06dZ" % (second, now.microsecond)
        ids = secrets.token_hex(_ID_BYTES * len(asked)).encode()
        is_draining = self._lifecycle.is_draining
        lines: list[bytes] = []
        rest = iter(zip(asked, held, range(0, len(ids), 2 * _ID_BYTES), strict=True))
        try:
            for one, holds, begin in rest:
                self._lifecycle.end_request()
                asker, answer = one.asker, one.answer
                if asker.asked is not one:
                    continue  # More came from this client meanwhile, and all of it went the ordinary way.
                asker.asked = None
                client = asker.client or answer.client
                is_blocked = self._failed_attempts.seconds_blocked(client.address) > 0
                if is_draining or is_blocked or not (holds and answer.terms.are_of(now) and asker.can_be_answered()):
                    self.outdated += not holds
                    asker.receive(one.head)
                    continue
                request_id = ids[begin : begin + 2 * _ID_BYTES]
                asker.answer(b"".join((answer.before_date, date, answer.before_id, request_id, _END, answer.body)), at)
                self.given += 1
                if answer.downloaded is not None:
                    self._note_download(answer.downloaded)
                self._count(answer, at - one.came_at)
                if answer.line is None:
                    _log(answer, client, at - one.came_at, request_id)
                else:
                    lines.append(answer.line % (client.name, at - one.came_at, request_id, timestamp))
        finally:
            left = [one for one, *_ in rest]
            if left:  # What went wrong with one of them is not the fault of the others.
                asyncio.get_running_loop().call_soon(self._give, left, [False] * len(left))
            if self._lines is not None:
                self._lines.add(lines)

    def _count(self, answer: ReadyAnswer, seconds: float) -> None:
        logged = answer.logged
        self._metrics.note_request(
            method=logged["method"],
            route=logged["route"],
            status=logged["status"],
            seconds=seconds,
            sent_bytes=logged["bytes"],
            received_bytes=0,
        )

    def _forget(self, key: bytes) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            self._total_bytes -= answer.cost_bytes


def _log(answer: ReadyAnswer, client: Client, seconds: float, request_id: bytes) -> None:
    fields = {**answer.logged, "client": str(client.address), "seconds": round(seconds, 6)}
    log.info("request.finished", request_id=request_id.decode(), **fields)
