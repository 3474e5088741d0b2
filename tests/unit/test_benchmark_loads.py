"""What the benchmarks read of others' output, and the wheels that they send."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.corpus import small_wheel, small_wheel_bytes
from benchmarks.reads import links
from benchmarks.servers.forms import form_publication
from benchmarks.wire import Connection, request_head
from benchmarks.wrk import WasRefusedError, parse

TOLD = """Running 3s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.26ms    2.71ms  37.86ms   93.31%
    Req/Sec    67.41k     7.86k   77.01k    86.67%
  Latency Distribution
     50%  425.00us
     75%  571.00us
     90%    2.57ms
     99%   14.45ms
  201196 requests in 3.00s, 1.50GB read
Requests/sec:  67059.61
Transfer/sec:     62.35MB
"""


def test_what_wrk_prints_is_read() -> None:
    load = parse(TOLD, generator_seconds=2.5)
    assert (load.requests, load.rate, load.seconds, load.generator_seconds) == (201_196, 67_059.61, 3.0, 2.5)
    assert load.read_bytes == 3 << 29
    assert load.p99 == pytest.approx(0.01445)


@pytest.mark.parametrize("line", ["  Non-2xx or 3xx responses: 7\n", "  Socket errors: connect 0, read 1, write 0\n"])
def test_a_load_that_was_refused_is_no_figure(line: str) -> None:
    with pytest.raises(WasRefusedError):
        parse(TOLD + line, generator_seconds=1)


def test_the_corpus_is_the_same_each_time() -> None:
    wheel = small_wheel_bytes("demo", "1.0", requires=["other"])
    assert wheel == small_wheel_bytes("demo", "1.0", requires=["other"])
    assert wheel != small_wheel_bytes("demo", "1.1", requires=["other"])
    assert 7 * 1024 < len(wheel) < 9 * 1024


def test_links_are_those_of_the_page_without_what_is_behind_them() -> None:
    html = b'<h1>x</h1><a href="../../files/a.whl#sha256=1" data-x="y">a</a>\n<a  href=\'http://h/b.whl\'>b</a>'
    assert links("http://h/simple/a/", html) == ["http://h/files/a.whl", "http://h/b.whl"]


def test_a_form_is_as_long_as_it_says(tmp_path: Path) -> None:
    wheel = small_wheel(tmp_path, "demo", "1.0")
    one = form_publication(wheel, "http://h/upload/", "http://h/simple/", {"Authorization": "Basic x"})
    body = one.before + wheel.path.read_bytes() + one.after
    assert one.headers["Content-Length"] == str(len(body))
    assert one.headers["Authorization"] == "Basic x"
    assert one.page == "http://h/simple/demo/"


ANSWERS = {
    b"/length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    b"/same": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
    b"/close": b"HTTP/1.0 200 OK\r\n\r\nhello",
}


async def test_answers_of_every_form_are_read_over_one_connection_until_the_server_closes_it() -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        target = b""
        while target != b"/close":
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ")[1]
            writer.write(ANSWERS[target])
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connection = Connection(url)
        told = [
            await connection.ask(request_head("GET", f"{url}{path}", {}))
            for path in ("/length", "/chunks", "/same", "/close", "/close")
        ]
    assert [(one.status, one.body) for one in told] == [
        (200, b"hello"),
        (200, b"hello"),
        (304, b""),
        (200, b"hello"),
        (200, b"hello"),
    ]
    assert connections == 2
