"""The listening socket: where it listens, what the page shows of it, and how it says no."""

import socket

import pytest

from services.standalone.errors import StartFailed
from services.standalone.listening import Address, listen, reachable_address


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.9", "127.0.0.9"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("::", "[::1]"),
    ],
)
def test_the_address_that_is_shown_can_be_reached(host: str, shown: str) -> None:
    with listen(host, 0) as listener:
        address = reachable_address(listener)

        assert address.authority == f"{shown}:{listener.getsockname()[1]}"
        with socket.create_connection((address.host, address.port), timeout=10):
            pass


def test_a_name_is_listened_on_too() -> None:
    with listen("localhost", 0) as listener:
        assert reachable_address(listener).host in ("127.0.0.1", "::1")


def test_the_ipv6_wildcard_takes_ipv4_too() -> None:
    with (
        listen("::", 0) as listener,
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=10),
    ):
        pass


def test_a_port_that_was_just_used_can_be_taken_again() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as served:
            served.close()  # first, so that this side waits in TIME_WAIT
            assert client.recv(1) == b""

    with listen("127.0.0.1", port) as again:
        assert reachable_address(again) == Address("127.0.0.1", port)


def test_a_taken_port_is_refused() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(StartFailed) as refusal:
            listen("127.0.0.1", port)

    assert refusal.value.problem == (
        f"port {port} on 127.0.0.1 is taken by another program: stop it, or choose another port in LARDER_PORT"
    )


@pytest.mark.parametrize("host", ["no such host", "256.0.0.1", "a" * 300, "..", "host.invalid"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(StartFailed) as refusal:
        listen(host, 0)

    assert refusal.value.problem == f"{host} is no address to listen on: change LARDER_HOST"
