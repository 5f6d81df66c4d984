"""The guard of conftest.py: a test that reaches for the network fails, loopback works."""

import socket
import threading

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("2001:db8::1", 80)])
def test_a_connection_to_the_network_is_refused(address: tuple[str, int]) -> None:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as door, pytest.raises(BaseException, match="loopback only"):
        door.settimeout(0.2)
        door.connect(address)


def test_a_name_is_not_looked_up() -> None:
    with pytest.raises(BaseException, match="loopback only"):
        socket.getaddrinfo("example.org", 443)


def test_a_datagram_is_refused() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door,
        pytest.raises(BaseException, match="loopback only"),
    ):
        door.sendto(b"x", ("192.0.2.1", 9))


def test_loopback_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[bytes] = []

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                accepted.append(peer.recv(4))

        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(("localhost", server.getsockname()[1])) as door:
            door.sendall(b"ping")
        thread.join()
    assert accepted == [b"ping"]
