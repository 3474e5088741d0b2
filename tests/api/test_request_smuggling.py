"""Requests whose end somebody else may see elsewhere: refused as the last of their connection, or read as all do."""

import asyncio
import re

from tests.api.raw_http import connected
from tests.api.registry import ROOT_TOKEN, Registry

NEXT = b"GET /-/liveness HTTP/1.1\r\nHost: a\r\nX-Smuggled: yes\r\n\r\n"
"""What stands behind each request: to be answered by itself, or not at all."""
_HEAD = f"Host: a\r\nPRIVATE-TOKEN: {ROOT_TOKEN}\r\nContent-Type: application/json\r\n".encode()
_STATUS = re.compile(rb"HTTP/[012]\.[019] (\d{3}) ")


def post(fields: bytes, body: bytes = b"", *, version: bytes = b"1.1") -> bytes:
    return b"POST /api/v4/groups HTTP/" + version + b"\r\n" + _HEAD + fields + b"\r\n\r\n" + body


def get(fields: bytes = b"Host: a", *, line: bytes = b"GET /-/liveness HTTP/1.1") -> bytes:
    return line + b"\r\n" + fields + b"\r\n\r\n"


LAST = b"0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
REFUSED: dict[str, tuple[bytes, int]] = {
    "a length and chunks": (post(b"Content-Length: 5\r\n" + CHUNKED, LAST), 400),
    "chunks and a length": (post(CHUNKED + b"\r\nContent-Length: 5", LAST), 400),
    "two lengths": (post(b"Content-Length: 0\r\nContent-Length: %d" % len(NEXT)), 400),
    "two equal lengths": (post(b"Content-Length: 0\r\nContent-Length: 0"), 400),
    "two lengths in one": (post(b"Content-Length: 0, %d" % len(NEXT)), 400),
    "a length with a sign": (post(b"Content-Length: +0"), 400),
    "a length below zero": (post(b"Content-Length: -1"), 400),
    "a length in hexadecimal": (post(b"Content-Length: 0x10"), 400),
    "a length as Python reads it": (post(b"Content-Length: 1_0"), 400),
    "a length beyond all": (post(b"Content-Length: 99999999999999999999999"), 400),
    "an empty length": (post(b"Content-Length: "), 400),
    "a blank before a colon": (post(b"Content-Length : %d" % len(NEXT)), 400),
    "a blank before the other colon": (post(b"Transfer-Encoding : chunked", LAST), 400),
    "another coding": (post(b"Transfer-Encoding: xchunked", LAST), 400),
    "a coding that is none": (post(b"Transfer-Encoding: identity"), 400),
    "a coding behind chunks": (post(b"Transfer-Encoding: chunked, identity", LAST), 400),
    "a coding below chunks": (post(b"Transfer-Encoding: gzip, chunked", LAST), 501),
    "chunks twice": (post(b"Transfer-Encoding: chunked, chunked", LAST), 400),
    "chunks in two fields": (post(CHUNKED + b"\r\n" + CHUNKED, LAST), 400),
    "chunks in quotation marks": (post(b'Transfer-Encoding: "chunked"', LAST), 400),
    "chunks behind a control character": (post(b"Transfer-Encoding: \x0bchunked", LAST), 400),
    "chunks on a folded line": (post(b"Transfer-Encoding:\r\n chunked", LAST), 400),
    "an empty coding": (post(b"Transfer-Encoding: "), 400),
    "chunks in HTTP/1.0": (post(CHUNKED + b"\r\nConnection: keep-alive", LAST, version=b"1.0"), 400),
    "a chunk with a blank": (post(CHUNKED, b"2 \r\n{}\r\n" + LAST), 400),
    "a chunk in C": (post(CHUNKED, b"0x2\r\n{}\r\n" + LAST), 400),
    "a chunk below zero": (post(CHUNKED, b"-2\r\n{}\r\n" + LAST), 400),
    "a chunk beyond all": (post(CHUNKED, b"10000000000000002\r\n{}\r\n" + LAST), 400),
    "a chunk without its end": (post(CHUNKED, b"2\r\n{}0\r\n\r\n"), 400),
    "chunks that end in line feeds": (post(CHUNKED, b"2\n{}\n0\n\n"), 400),
    "an extension that ends in a line feed": (post(CHUNKED, b"2;x\n{}\r\n" + LAST), 400),
    "fields behind the chunks": (post(CHUNKED, b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"), 400),
    "a head that ends in line feeds": (b"GET /-/liveness HTTP/1.1\nHost: a\n\n", 400),
    "a line that does": (b"GET /-/liveness HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    "a carriage return in a line": (get(b"Host: a\rX: y"), 400),
    "a folded line": (get(b"Host: a\r\nX: y\r\n z"), 400),
    "a zero byte": (get(b"Host: a\r\nX: a\0b"), 400),
    "a field without a name": (get(b"Host: a\r\n: b"), 400),
    "no host": (get(b"X: y"), 400),
    "two hosts": (get(b"Host: a\r\nHost: b"), 400),
    "thousands of fields": (get(b"Host: a" + b"".join(b"\r\nX%d: y" % number for number in range(5000))), 431),
    "a version before 1.0": (get(line=b"GET /-/liveness HTTP/0.9"), 400),
    "no version": (b"GET /-/liveness\r\n\r\n", 400),
    "a version of another protocol": (get(line=b"GET /-/liveness HTTP/2.0"), 400),
    "an invitation to another protocol": (get(b"Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c"), 200),
    "an invitation to sockets": (get(b"Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket"), 200),
    "a tunnel": (get(line=b"CONNECT elsewhere.test:80 HTTP/1.1"), 404),
    "a version between": (get(line=b"GET /-/liveness HTTP/1.2"), 400),
    "a version beyond all": (get(line=b"GET /-/liveness HTTP/9.9"), 400),
}
"""What is answered once, whatever stands behind it, and the status."""
READ: dict[str, tuple[bytes, list[int]]] = {
    "nothing of note": (get(), [200]),
    "many at once": (get() * 20, [200] * 20),
    "line breaks before it": (b"\r\n\r\n" + get(), [200]),
    "a body that nobody wants": (get(b"Host: a\r\nContent-Length: %d" % len(NEXT)) + NEXT, [200]),
    "a body that is named as of this hop": (post(b"Connection: Content-Length\r\nContent-Length: 2", b"{}"), [400]),
    "chunks in capitals": (post(b"Transfer-Encoding: CHUNKED", b"2\r\n{}\r\n" + LAST), [400]),
    "chunks behind a tab": (post(b"Transfer-Encoding:\tchunked", b"2\r\n{}\r\n" + LAST), [400]),
    "a very long extension": (post(CHUNKED, b"2;" + b"a" * 100_000 + b"\r\n{}\r\n" + LAST), [400]),
}
"""What ends where everybody sees its end, and what it is answered with: 400 to who wants a group without a name."""


async def _answers(registry: Registry, sent: bytes, *, expected: int) -> tuple[list[int], bool]:
    """Send bytes; return the statuses of the answers, and whether the connection was closed behind the last one."""
    async with connected(registry) as connection:
        await connection.send(sent)
        received = b""
        async with asyncio.timeout(60):
            while not received.endswith(b"}") or len(_STATUS.findall(received)) < expected:
                chunk = await connection.reader.read(65536)
                if not chunk:
                    return [int(status) for status in _STATUS.findall(received)], True
                received += chunk
    return [int(status) for status in _STATUS.findall(received)], False


async def test_a_request_whose_end_is_unclear_is_the_last_of_its_connection(bare_registry: Registry) -> None:
    for name, (request, status) in REFUSED.items():
        # Two answers would be there before a connection that stays open is noticed to do so.
        found = await _answers(bare_registry, request + NEXT, expected=2)
        assert found == ([status], True), name


async def test_a_version_that_is_not_spoken_is_told_so(bare_registry: Registry) -> None:
    for line in (b"GET /-/liveness HTTP/2.0", b"GET /-/liveness HTTP/0.9", b"GET /-/liveness"):
        found = await _answers(bare_registry, get(line=line), expected=2)
        assert found == ([505], True), line


async def test_what_stands_behind_a_clear_request_is_answered_by_itself(bare_registry: Registry) -> None:
    for name, (request, statuses) in READ.items():
        found = await _answers(bare_registry, request + NEXT, expected=len(statuses) + 1)
        assert found == ([*statuses, 200], False), name
