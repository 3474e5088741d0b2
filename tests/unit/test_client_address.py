"""Which client a request is from: nobody can speak for another whom no trusted proxy has seen."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.origin import trace_back
from shared.settings import IpNetwork

PROXIES: tuple[IpNetwork, ...] = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "fd00::/8")))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7,10.0.0.2 , 10.0.0.3"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2", "10.0.0.3"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.7, 10.0.0.2"], "10.0.0.7"),
        # What is no address was not made up by the client: it stands where a trusted proxy has written it.
        ("10.0.0.1", ["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["203.0.113.9,"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["unknown, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("", ["198.51.100.7"], None),
        ("/run/proxy.sock", ["198.51.100.7"], None),
    ],
)
def test_the_client_is_the_first_from_the_right_whom_nobody_trusts(
    peer: str, forwarded: list[str], client: str | None
) -> None:
    traced = trace_back(peer, forwarded, trusted=PROXIES)

    assert traced == (ipaddress.ip_address(client) if client else None)


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert trace_back("10.0.0.1", ["198.51.100.7"], trusted=()) == ipaddress.ip_address("10.0.0.1")


@given(st.lists(st.text() | st.sampled_from(["10.0.0.2", "198.51.100.7", "::1%lo", "1.2.3.4:x", "[::1", "\udcff"])))
def test_nothing_that_stands_there_breaks_the_walk(forwarded: list[str]) -> None:
    assert trace_back("10.0.0.1", forwarded, trusted=PROXIES) is not None


@given(st.lists(st.text()))
def test_nothing_that_a_client_makes_up_hides_it_from_the_proxy(made_up: list[str]) -> None:
    traced = trace_back("10.0.0.1", [*made_up, "198.51.100.7"], trusted=PROXIES)

    assert traced == ipaddress.ip_address("198.51.100.7")
