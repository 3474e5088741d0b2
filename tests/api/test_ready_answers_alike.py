"""A process that has answers ready answers as one that has not, byte for byte on the wire, and logs the same of it."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
import structlog

from shared.settings import Settings
from tests.api.random_world import Question, World
from tests.api.raw_http import RawConnection, connected
from tests.api.registry import Registry, running_registry
from tests.backends import PostgresqlServer, postgresql_database, postgresql_server

__all__ = ["postgresql_database", "postgresql_server"]

_QUESTIONS = 20
_ASKED_AT_A_TIME = 16
_NEW_EACH_TIME = re.compile(rb"(?<=\r\n)(Date|X-Request-Id): [^\r]+")
_ETAG = re.compile(rb'\r\nETag: ("[^"]+")')
_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)")
_NEW_IN_EACH_LINE = {"request_id", "seconds"}


@pytest.fixture
def environment() -> dict[str, str]:
    """Give settings with which wrong secrets may be tried all day."""
    return {"LARDER_AUTH_FAILURES_PER_MINUTE": "1000000"}


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 7))])
async def test_what_is_ready_changes_no_answer(settings: Settings, seed: int) -> None:
    given, outdated = await _ask_both(settings, seed, rounds=12)
    assert given > 25
    assert outdated > 5


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_what_is_ready_changes_no_answer_on_postgresql(
    settings: Settings, postgresql_server: PostgresqlServer, postgresql_database: str
) -> None:
    postgresql_server.empty_database(postgresql_database)
    settings = replace(settings, database_url=postgresql_server.url(postgresql_database))
    given, outdated = await _ask_both(settings, 1, rounds=12)
    assert given > 25
    assert outdated > 5


async def _ask_both(settings: Settings, seed: int, *, rounds: int) -> tuple[int, int]:
    chance = random.Random(seed)
    async with (
        running_registry(settings) as ready,
        running_registry(replace(settings, keeps_ready_answers=False)) as other,
    ):
        assert ready.ready_answers is not None
        assert other.ready_answers is None
        world = World(ready, chance)
        await world.fill()
        questions = [world.question() for _ in range(_QUESTIONS)]
        etags: dict[str, str] = {}
        happened = ""
        async with AsyncExitStack() as stack:
            pair = await _connect(stack, ready, other)
            for _ in range(rounds):
                questions[chance.randrange(_QUESTIONS)] = world.question()
                for question in chance.choices(questions, k=_ASKED_AT_A_TIME):
                    if question.path in etags and chance.random() < 0.2:
                        question.headers["If-None-Match"] = etags[question.path]
                    plain = Sent((_head(question),), (question.method,))
                    for sent in (plain, _packets(chance, question, chance.choice(questions)), plain):
                        told, expected = [await _exchange(one, sent) for one in pair]
                        assert told == expected, (sent, happened)
                        if told.is_over:
                            pair = await _connect(stack, ready, other)
                        found = _ETAG.search(told.answers[0]) if told.answers else None
                        if found:
                            etags[question.path] = found[1].decode()
                happened = await world.happen()
        return ready.ready_answers.given, ready.ready_answers.outdated


async def _connect(stack: AsyncExitStack, *registries: Registry) -> list[RawConnection]:
    return [await stack.enter_async_context(connected(registry)) for registry in registries]


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent on a connection.

    Args:
        pieces: sent one by one.
        methods: of the requests in them.
        is_odd: the connection may end with it.
    """

    pieces: tuple[bytes, ...]
    methods: tuple[str, ...]
    is_odd: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What came back, and what was logged; without what is new each time.

    Args:
        is_over: the connection is not to be used any more.
    """

    answers: list[bytes]
    lines: list[dict[str, Any]]
    is_over: bool


def _packets(chance: random.Random, question: Question, other: Question) -> Sent:
    """Return one of the ways to send a request, alone or with another."""
    head, second = _head(question), _head(other)
    cut = chance.randrange(1, len(head))
    regular: list[tuple[bytes, ...]] = [
        *[(head,)] * 10,
        (head[:cut], head[cut:]),
        (b"\r\n" + head,),
        (b"\r\n", head),
        (_with(head, b"Connection: keep-alive"),),
        (_with(head, b"Content-Length: 0"),),
    ]
    with_another = [(head + second,), (head, second), (head + second[:20], second[20:]), (head, second, b"\r\n")]
    odd = [
        (head.replace(b" HTTP/1.1", b" HTTP/1.0"),),
        (_with(head, b"Connection: close"),),
        (_with(head, b"Content-Length: 3") + b"abc",),
        (_with(head, b"Expect: 100-continue"),),
        (_with(head, b"Upgrade: h2c"),),
        (b"\r", head),
        (head[:-2] + b"\n",),
    ]
    methods = (question.method, other.method)
    match chance.randrange(10):
        case 0:
            return Sent(chance.choice(odd), methods[:1], is_odd=True)
        case 1:
            return Sent((head + b"\0\r\n\r\n",), (question.method, "GET"), is_odd=True)
        case 2 | 3:
            return Sent(chance.choice(with_another), methods)
        case _:
            return Sent(chance.choice(regular), methods[:1])


def _head(question: Question) -> bytes:
    lines = [f"{question.method} {question.path} HTTP/1.1", *(f"{n}: {v}" for n, v in question.headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _with(head: bytes, line: bytes) -> bytes:
    return head.removesuffix(b"\r\n") + line + b"\r\n\r\n"


async def _exchange(connection: RawConnection, sent: Sent) -> Told:
    with structlog.testing.capture_logs() as logs:
        for piece in sent.pieces:
            connection.writer.write(piece)
            await asyncio.sleep(0)
        answers = [answer async for answer in _answers(connection, sent.methods)]
        is_over = (
            len(answers) < len(sent.methods)
            or b"\r\nConnection: close" in answers[-1]
            or b" HTTP/1.0" in sent.pieces[0]
        )
        async with asyncio.timeout(10):
            while len(_of_requests(logs)) < len(answers):  # noqa: ASYNC110 - the line of an answer is written after it
                await asyncio.sleep(0)
    lines = [
        {name: value for name, value in line.items() if name not in _NEW_IN_EACH_LINE} for line in _of_requests(logs)
    ]
    return Told([_NEW_EACH_TIME.sub(b"", answer) for answer in answers], lines, is_over)


def _of_requests(logs: Sequence[Any]) -> list[dict[str, Any]]:
    """Leave out what is logged meanwhile of other things: a channel of Redis that is there now, say."""
    return [line for line in logs if line["event"].startswith("request.")]


async def _answers(connection: RawConnection, methods: Sequence[str]) -> AsyncIterator[bytes]:
    for method in methods:
        try:
            async with asyncio.timeout(10):
                head = b"HTTP/1.1 100"
                while head.startswith(b"HTTP/1.1 100"):
                    head = await connection.reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(head)
                has_body = found and method != "HEAD" and b" 304 " not in head.partition(b"\r\n")[0]
                body = await connection.reader.readexactly(int(found[1])) if found and has_body else b""
        except asyncio.IncompleteReadError:
            return
        yield head + body
