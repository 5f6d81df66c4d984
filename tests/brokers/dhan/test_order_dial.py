"""Connections for orders: encrypted, resumed, through a proxy; refusals that tell no secret."""

import asyncio
import base64
import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dhanfast._core.live.records import IntentKind, Outcome
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.order_dial import Dialer, DialFailed, ResumingContext
from dhanfast.errors import ConfigError
from tests.brokers.dhan.order_desk import Desk, intent, made
from tests.brokers.dhan.order_stub import Stub


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(7)
        .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tls")
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))  # fmt: skip
    return folder / "c.pem", folder / "k.pem"


def contexts(certificate: tuple[Path, Path]) -> tuple[ssl.SSLContext, ResumingContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificate)
    client = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificate[0])
    return server, client


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_orders_travel_encrypted_and_sessions_are_resumed(certificate: Any, loop: Any) -> None:
    async def work() -> None:
        server, client = contexts(certificate)
        stub = Stub()
        desk = Desk(
            stub, made(await stub.start(server), context=client, connections=1, ping_s=0.03)
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.courier.run())
            await desk.courier.wait_ready()
            for number in range(1, 4):
                desk.courier.carry_intent(intent(number))
                assert (await desk.answer(number))["outcome"] == Outcome.TAKEN
            await desk.until(lambda: client.session is not None)
            stub.faults.append("reset_done")
            desk.courier.carry_intent(intent(4))
            assert (await desk.answer(4))["outcome"] == Outcome.UNKNOWN
            await desk.until(lambda: desk.courier.connects == 2)
            await desk.courier.wait_ready()
            (line,) = desk.courier.lines
            assert line.transport.get_extra_info("ssl_object").session_reused
            desk.courier.carry_intent(intent(5, IntentKind.QUERY, order=4))
            assert (await desk.answer(5))["outcome"] == Outcome.TAKEN
            await desk.courier.close()
        await stub.stop()
        assert max(stub.done.values()) == 1 and len(stub.done) == 4

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work())


def test_a_certificate_that_nobody_signed_is_refused(certificate: Any) -> None:
    async def work() -> None:
        server, _ = contexts(certificate)
        stub = Stub()
        hosts = await stub.start(server)
        with pytest.raises(DialFailed, match="its certificate is not good"):
            await Dialer(hosts.rest).dial(asyncio.Protocol)
        await stub.stop()

    asyncio.run(work())


class Proxy(asyncio.Protocol):
    """A proxy that tunnels for those who know its password, once told how to answer."""

    def __init__(self, log: list[bytes], answer: bytes, port: int) -> None:
        self.log, self.reply, self.port = log, answer, port
        self.far: Any = None
        self.early = b""

    def connection_made(self, transport: Any) -> None:
        self.near = transport

    def data_received(self, data: bytes) -> None:
        if self.far is not None:
            self.far.write(data)
            return
        self.early += data
        if b"\r\n\r\n" in self.early:
            self.log.append(self.early)
            if b" 200 " not in self.reply:
                self.near.write(self.reply)
                self.near.close()
                return
            self.task = asyncio.get_running_loop().create_task(self.join())

    async def join(self) -> None:
        near = self.near

        class Far(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                near.write(data)

            def connection_lost(self, error: BaseException | None) -> None:
                near.close()

        loop = asyncio.get_running_loop()
        self.far, _ = await loop.create_connection(Far, "127.0.0.1", self.port)
        near.write(self.reply)

    def connection_lost(self, error: BaseException | None) -> None:
        if self.far is not None:
            self.far.close()


@pytest.mark.parametrize("encrypted", [False, True])
def test_orders_go_through_the_proxy_and_through_nothing_else(
    certificate: Any, encrypted: bool
) -> None:
    async def work() -> None:
        server, client = contexts(certificate)
        stub, log = Stub(), list[bytes]()
        hosts = await stub.start(server if encrypted else None)
        port = int(hosts.rest.rpartition(":")[2].partition("/")[0])
        said = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"
        loop = asyncio.get_running_loop()
        proxy = await loop.create_server(lambda: Proxy(log, said, port), "127.0.0.1", 0)
        address = proxy.sockets[0].getsockname()[1]
        courier = made(hosts, context=client if encrypted else None, connections=1,
                       proxy=f"http://me:pass%2Fword@127.0.0.1:{address}")  # fmt: skip
        desk = Desk(stub, courier)
        async with asyncio.TaskGroup() as group:
            group.create_task(courier.run())
            await courier.wait_ready()
            courier.carry_intent(intent(1))
            assert (await desk.answer(1))["outcome"] == Outcome.TAKEN
            await courier.close()
        await stub.stop()
        proxy.close()
        (head,) = log
        target = f"{'localhost' if encrypted else '127.0.0.1'}:{port}".encode()
        assert head.startswith(b"CONNECT " + target + b" HTTP/1.1\r\nHost: " + target + b"\r\n")
        assert base64.b64encode(b"me:pass/word") in head and b"access-token" not in head

    asyncio.run(work())


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "opens no way to 127.0.0.1: it answers 407"),
        (b"nonsense\r\n\r\n", "it answers nothing"),
        (b"HTTP/1.1 404 x", "no answer that can be read"),
        (b"x" * 10_000, "no answer that can be read"),
        (b"", "no answer that can be read"),
    ],
)
def test_a_proxy_that_refuses_is_told_without_its_password(said: bytes, text: str) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        proxy = await loop.create_server(lambda: Proxy([], said, 1), "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        dialer = Dialer("http://127.0.0.1:9/v2", proxy=f"http://u:password1@127.0.0.1:{port}")
        with pytest.raises(DialFailed, match=text) as caught:
            await dialer.dial(asyncio.Protocol)
        assert "password1" not in str(caught.value)
        proxy.close()
        await proxy.wait_closed()

    asyncio.run(work())


def test_an_address_that_nobody_has_is_said() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        dialer = Dialer(Hosts.loopback(port).rest)
        for _ in range(2):  # the second looks the address up again
            with pytest.raises(DialFailed, match=f"127.0.0.1:{port}: "):
                await dialer.dial(asyncio.Protocol)

    asyncio.run(work())


@pytest.mark.parametrize("url", ["ftp://h/v2", "h", "http://", ""])
def test_a_bad_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="rest address"):
        Dialer(url)


@pytest.mark.parametrize(
    "proxy", ["https://h:1", "http://h", "h:1", "http://h:99999", "socks5://h:1"]
)
def test_a_bad_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigError, match="order_proxy must be of the form"):
        Dialer("http://127.0.0.1:1/v2", proxy=proxy)
