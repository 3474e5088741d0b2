"""A name server for tests that knows one address for whatever it is asked; who runs it may change that."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

_HEADER_BYTES = 12
_ANSWERS_ONE = b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
_POINTS_TO_THE_QUESTION = b"\xc0\x0c"
_A_IN_FOR_A_SECOND = b"\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04"


class NameServer(socketserver.UDPServer):
    """Answers with an IPv4 address.

    Args:
        address: the one.
    """

    def __init__(self, address: str) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.address = address

    @property
    def port(self) -> int:
        """Return its UDP port on 127.0.0.1."""
        return int(self.server_address[1])


class _Asked(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        question, reply_from = self.request
        end = question.index(b"\x00", _HEADER_BYTES) + 5
        address = socket.inet_aton(cast(NameServer, self.server).address)
        answer = _POINTS_TO_THE_QUESTION + _A_IN_FOR_A_SECOND + address
        reply = question[:2] + _ANSWERS_ONE + question[_HEADER_BYTES:end] + answer
        reply_from.sendto(reply, self.client_address)


@contextmanager
def name_server(address: str) -> Iterator[NameServer]:
    """Run one until the block ends."""
    with NameServer(address) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
