"""TLS: clients that are not ours, certificates of every kind, and what a wrong one is told."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from hubbub import Hub, Limits, Request, WebSocket
from support.program import ROOT, running
from support.server import Serve, Server, until

CERTIFICATES = ROOT / "tests" / "certificates"


def files(name: str) -> tuple[str, str]:
    return str(CERTIFICATES / f"{name}.pem"), str(CERTIFICATES / f"{name}.key")


def options(name: str = "localhost", **others: Any) -> dict[str, Any]:
    chain, key = files(name)
    return {"ssl_certfile": chain, "ssl_keyfile": key, **others}


def trusting(identity: str | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
    if identity is not None:
        context.load_cert_chain(*files(identity))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def echo_hub(**arguments: Any) -> Hub:
    hub = Hub(**arguments)

    @hub.on_message
    def echo(ws: WebSocket, data: str | bytes) -> None:
        ws.send(data)

    return hub


def echo_once(server: Server, **arguments: Any) -> str | bytes:
    return echo_at(f"wss://localhost:{server.listening.port}/", **arguments)


def echo_at(url: str, **arguments: Any) -> str | bytes:
    """In a thread. The client that blocks has one of its own for reading, and OpenSSL is not made for two."""

    async def echo() -> str | bytes:
        options = {"ssl": trusting(), "proxy": None, "open_timeout": 8, **arguments}
        async with connect(url, **options) as client:
            await client.send("hello")
            return await client.recv()

    return asyncio.run(echo())


@pytest.fixture
def anyio_backend() -> object:
    # TLS is the shards' and knows nothing of event loops.
    return "asyncio"


pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_every_size_comes_back(serve: Serve, version: ssl.TLSVersion) -> None:
    async with serve(echo_hub(), **options()) as server:
        assert server.listening.urls == [f"wss://127.0.0.1:{server.listening.port}/"]
        context = trusting(version=version)
        async with connect(f"wss://localhost:{server.listening.port}/", ssl=context, proxy=None) as client:
            for size in [0, 1, 125, 126, 16_384, 65_535, 65_536, 1 << 20]:
                await client.send("x" * size)
                assert await client.recv() == "x" * size
                await client.send(bytes(size))
                assert await client.recv() == bytes(size)
        assert (client.close_code, client.close_reason) == (1000, "")


async def test_a_slow_reader_gets_everything(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        for number in range(200):
            await ws.send(number.to_bytes(4, "big") * 16_384)

    async with serve(hub, **options()) as server:
        arguments = {"ssl": trusting(), "proxy": None, "max_queue": 1}
        async with connect(f"wss://localhost:{server.listening.port}/", **arguments) as client:
            await anyio.sleep(0.2)
            for number in range(200):
                assert await client.recv() == number.to_bytes(4, "big") * 16_384


async def test_broadcasts_reach_members_over_tls(serve: Serve) -> None:
    hub = Hub()

    @hub.websocket("/")
    async def endpoint(ws: WebSocket) -> None:
        ws.join("all")
        async for message in ws:
            hub.room("all").broadcast(message)

    async with serve(hub, **options()) as server:
        url = f"wss://localhost:{server.listening.port}/"
        async with connect(url, ssl=trusting(), proxy=None) as one, connect(url, ssl=trusting(), proxy=None) as other:
            await until(lambda: len(hub.room("all")) == 2)
            await one.send("to all")
            assert await one.recv() == await other.recv() == "to all"


async def test_a_request_says_whether_it_came_over_tls(serve: Serve) -> None:
    hub, seen = Hub(), []

    @hub.on_request
    def request(request: Request) -> None:
        seen.append((request.secure, request.client_certificate))

    async with serve(hub, **options()) as server, connected(server):
        pass
    async with serve(hub) as server, server.connect():
        pass
    assert seen == [(True, None), (False, None)]


@asynccontextmanager
async def connected(server: Server, context: ssl.SSLContext | None = None) -> AsyncIterator[ClientConnection]:
    url = f"wss://localhost:{server.listening.port}/"
    async with connect(url, ssl=context or trusting(), proxy=None) as client:
        yield client


async def test_client_certificates_are_checked_and_shown(serve: Serve) -> None:
    hub, seen = Hub(), []

    @hub.on_request
    def request(request: Request) -> None:
        seen.append(request.client_certificate)

    ca = {"ssl_ca_certs": CERTIFICATES / "ca.pem"}
    own = ssl.PEM_cert_to_DER_cert(Path(files("client")[0]).read_text())
    async with serve(hub, **options(ssl_cert_reqs=ssl.CERT_REQUIRED, **ca)) as server:
        async with connected(server, trusting("client")):
            pass
        for identity in ("impostor", None):
            # In TLS 1.3 the client learns of it with what it reads first; a reset may come before the alert.
            with pytest.raises((OSError, WebSocketException)):
                async with connected(server, trusting(identity)):
                    pass
        await until(lambda: hub.stats()["tls_failures"] == 2)
    async with serve(hub, **options(ssl_cert_reqs=ssl.CERT_OPTIONAL, **ca)) as server, connected(server):
        pass
    assert seen == [own, None]


async def test_each_host_name_gets_its_certificate(serve: Serve) -> None:
    named = {"example.org": files("example"), "*.example.net": files("wild")}
    async with serve(echo_hub(), **options(ssl_certificates=named)) as server:
        for name in ("localhost", "example.org", "a.example.net"):
            assert await asyncio.to_thread(echo_once, server, server_hostname=name) == "hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(echo_once, server, server_hostname="example.net")


async def test_certificates_are_reloaded(serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def install(name: str) -> None:
        for source, target in zip(files(name), (chain, key), strict=True):
            shutil.copy(source, target)

    install("localhost")
    hub = echo_hub()
    async with serve(hub, ssl_certfile=chain, ssl_keyfile=key) as server, connected(server) as old:
        install("example")
        hub.reload_certificates()
        assert await asyncio.to_thread(echo_once, server, server_hostname="example.org") == "hello"
        shutil.copy(files("wild")[1], key)
        with pytest.raises(ValueError, match="does not belong to the first certificate"):
            hub.reload_certificates()
        key.unlink()
        with pytest.raises(FileNotFoundError, match=r"key\.pem"):
            hub.reload_certificates()
        assert await asyncio.to_thread(echo_once, server, server_hostname="example.org") == "hello"
        install("expired")
        hub.reload_certificates()
        assert "has expired on 2020-02-01" in caplog.text
        await old.send("still here")
        assert await old.recv() == "still here"


# ---- bad input


def raw(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.listening.port), timeout=8)


def read_all(client: socket.socket) -> bytes:
    answer = b""
    with client:
        while piece := client.recv(4096):
            answer += piece
    return answer


async def test_row_52_plaintext_on_the_tls_port_is_told_so(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    hub = echo_hub()
    caplog.set_level("INFO", "hubbub.access")
    async with serve(hub, access_log=True, **options()) as server:
        client = raw(server)
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await asyncio.to_thread(read_all, client)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert answer.endswith(b"\r\n\r\nThis port speaks TLS: use wss:// or https://.\n")
        await until(lambda: hub.stats()["tls_failures"] == 1)
        await until(lambda: "no request: TLS: a plain HTTP request came instead" in caplog.text)
        assert await asyncio.to_thread(echo_once, server) == "hello"


async def test_row_12_failed_handshakes_do_not_flood_the_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    hub = echo_hub()
    caplog.set_level("INFO", "hubbub.access")
    async with serve(hub, access_log=True, **options()) as server:

        def fail(_: int) -> bytes:
            client = raw(server)
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return read_all(client)

        began = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            answers = await asyncio.to_thread(lambda: list(pool.map(fail, range(400))))
        seconds = time.monotonic() - began
        assert all(answer.startswith(b"HTTP/1.1 400 ") for answer in answers)
        assert hub.stats()["tls_failures"] == 400

        def lines() -> list[str]:
            return [line for line in caplog.messages if "no request: TLS: a plain HTTP" in line]

        def left_out() -> int:
            return sum(
                int(more) for more in re.findall(r"- - no request: TLS: (\d+) more within a second", caplog.text)
            )

        await until(lambda: len(lines()) + left_out() == 400)
        assert 10 <= len(lines()) <= 10 * (int(seconds) + 2)


async def test_f2_silent_and_stalled_handshakes_end_in_time(serve: Serve) -> None:
    hub = echo_hub(limits=Limits(handshake_timeout=1.0))
    async with serve(hub, **options()) as server:
        begun = time.monotonic()
        clients = [raw(server) for _ in range(100)]
        for client in clients[::2]:
            client.sendall(b"\x16\x03\x01\x02\x00")
        assert await asyncio.to_thread(echo_once, server) == "hello"
        for client in clients:
            assert await asyncio.to_thread(read_all, client) == b""
        assert 0.9 < time.monotonic() - begun < 5.0
        await until(lambda: hub.stats()["handshake_timeouts"] == 100)


CA = str(CERTIFICATES / "ca.pem")
LOCALHOST, KEY = files("localhost")
ENCRYPTED: dict[str, Any] = {"ssl_certfile": LOCALHOST, "ssl_keyfile": str(CERTIFICATES / "encrypted.key")}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ssl_certfile": "/nowhere/cert.pem"}, FileNotFoundError, r"No such file or directory: '/nowhere/cert\.pem'"),
        ({"ssl_certfile": LOCALHOST, "ssl_keyfile": "/nowhere/key"}, FileNotFoundError, "'/nowhere/key'"),
        ({"ssl_certfile": LOCALHOST, "ssl_keyfile": files("example")[1]}, ValueError, "does not belong to the first"),
        ({"ssl_certfile": LOCALHOST, "ssl_keyfile": CA}, ValueError, r"ca\.pem has no private key, only certificates"),
        ({"ssl_certfile": LOCALHOST}, ValueError, r"localhost\.pem has no private key, only certificates"),
        (
            {"ssl_certfile": LOCALHOST, "ssl_keyfile": str(CERTIFICATES / "encrypted.key")},
            ValueError,
            r"encrypted\.key is encrypted: ssl_keyfile_password is needed, or `openssl pkey -in",
        ),
        (
            ENCRYPTED | {"ssl_keyfile_password": "Secret"},
            ValueError,
            r"encrypted\.key is encrypted with another password",
        ),
        (ENCRYPTED | {"ssl_keyfile_password": ""}, ValueError, r"encrypted\.key is encrypted with another password"),
        (ENCRYPTED | {"ssl_keyfile_password": 5}, TypeError, "a str, bytes or a function that returns one, not int"),
        (ENCRYPTED | {"ssl_keyfile_password": lambda: None}, TypeError, "a function that returns one, not NoneType"),
        ({"ssl_keyfile_password": "secret"}, ValueError, "ssl_keyfile_password is of no use without ssl_certfile"),
        ({"ssl_certfile": KEY}, ValueError, r"localhost\.key has no certificate in PEM format"),
        ({"ssl_certfile": LOCALHOST, "ssl_keyfile": ROOT / "LICENSE"}, ValueError, "has no private key in PEM format"),
        ({"ssl_keyfile": KEY}, ValueError, "ssl_keyfile is of no use without ssl_certfile"),
        ({"ssl_ca_certs": CA}, ValueError, "ssl_ca_certs is of no use without ssl_certfile"),
        (options(ssl_ca_certs=CA), ValueError, "no client would be asked"),
        (options(ssl_cert_reqs=2), ValueError, "ssl_cert_reqs needs ssl_ca_certs"),
        (options(ssl_cert_reqs=3), ValueError, "ssl_cert_reqs is ssl.CERT_NONE"),
        (options(ssl_cert_reqs=1, ssl_ca_certs=KEY), ValueError, r"localhost\.key has no certificate"),
        (options(ssl_certificates={"10.0.0.1": files("example")}), ValueError, "is no host name"),
        (options(ssl_certificates={"example.org": 5}), TypeError, "ssl_certificates"),
        ({"ssl_certfile": 5}, TypeError, "ssl_certfile is a path"),
    ],
)
async def test_a_wrong_certificate_is_told_in_words(
    serve: Serve, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        async with serve(Hub(), **arguments):
            pass


@pytest.mark.parametrize("password", ["secret", b"secret", bytearray(b"secret"), lambda: "secret"])
async def test_an_encrypted_key_is_opened_by_its_password(serve: Serve, password: Any) -> None:
    async with serve(echo_hub(), **ENCRYPTED, ssl_keyfile_password=password) as server:
        assert await asyncio.to_thread(echo_once, server) == "hello"
        server.hub.reload_certificates()
        assert await asyncio.to_thread(echo_once, server) == "hello"


async def test_a_key_in_openssl_s_older_encryption_is_refused_with_the_way_out(serve: Serve, tmp_path: Path) -> None:
    key = tmp_path / "old.key"
    key.write_text(
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
        "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n"
        "AAAA\n-----END EC PRIVATE KEY-----\n"
    )
    with pytest.raises(
        ValueError, match=r"OpenSSL's traditional format\); `openssl pkcs8 -topk8 -v2 aes256 -in .*old\.key"
    ):
        async with serve(Hub(), ssl_certfile=LOCALHOST, ssl_keyfile=key, ssl_keyfile_password="secret"):
            pass


async def test_a_broken_pem_file_is_told_in_words(serve: Serve, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    with pytest.raises(ValueError, match=r"broken\.pem is no PEM file: the END line of CERTIFICATE is missing"):
        async with serve(Hub(), ssl_certfile=broken):
            pass
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match=r"the certificate in .*broken\.pem cannot be used"):
        async with serve(Hub(), ssl_certfile=broken, ssl_keyfile=KEY):
            pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (options("expired"), r"expired\.pem has expired on 2020-02-01: clients will refuse it"),
        (options(ssl_certificates={"example.com": files("example")}), r"example\.pem is not for example\.com"),
    ],
)
async def test_what_clients_will_refuse_is_warned_of(
    serve: Serve, arguments: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Hub()
    hub.on_connection(lambda ws: None)
    async with serve(hub, **arguments):
        pass
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.records[0].name == "hubbub"
    assert re.search(message, caplog.text)


# ---- the command line


PROGRAM = """
import hubbub

hub = hubbub.Hub()


@hub.on_message
def echo(ws, data):
    ws.send(data)
"""


def test_the_command_line_speaks_tls_and_sighup_reads_the_certificates_again(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"

    def install(name: str) -> None:
        for source, target in zip(files(name), (chain, key), strict=True):
            shutil.copy(source, target)

    install("localhost")
    # Where SIGHUP is ignored from the beginning, as below nohup, it stays so.
    command = ["env", "--default-signal=HUP", sys.executable, "-m", "hubbub", "run", "app:hub"]
    command += ["--app-dir", str(tmp_path), "--port", "0", "--ssl-certfile", str(chain), "--ssl-keyfile", str(key)]
    command += ["--ssl-certificate", "*.example.net", *files("wild")]

    def echo(port: int, name: str) -> str | bytes:
        return echo_at(f"wss://127.0.0.1:{port}/", server_hostname=name)

    with running(command) as program:
        port = int(program.wait_for(r"listening on wss://[^ ]+:(\d+)/")[1])
        assert echo(port, "localhost") == echo(port, "a.example.net") == "hello"
        install("example")
        program.process.send_signal(signal.SIGHUP)
        program.wait_for("SIGHUP: certificates read again")
        assert echo(port, "example.org") == "hello"
        chain.unlink()
        program.process.send_signal(signal.SIGHUP)
        program.wait_for("SIGHUP: the certificates stay as they were: .*No such file or directory")
        assert echo(port, "example.org") == "hello"
        assert program.stop() == 0


def test_the_command_line_takes_a_key_s_password_from_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "hubbub", "run", "app:hub", "--app-dir", str(tmp_path), "--port", "0"]
    monkeypatch.setenv("HUBBUB_SSL_KEYFILE_PASSWORD", "secret")
    with running(command) as program:
        program.wait_for(r"listening on ws://")
        assert program.stop() == 0
    command += ["--ssl-certfile", LOCALHOST, "--ssl-keyfile", ENCRYPTED["ssl_keyfile"]]
    with running(command) as program:
        program.wait_for(r"listening on wss://")
        assert program.stop() == 0
    with running([*command, "--ssl-keyfile-password", "wrong"]) as program:
        assert program.wait() == 1
        assert "encrypted with another password" in program.output


async def test_tls_on_the_plaintext_port_is_told_so(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    hub = echo_hub()
    caplog.set_level("INFO", "hubbub.access")
    async with serve(hub, access_log=True) as server:
        with pytest.raises(ssl.SSLError):
            await asyncio.to_thread(echo_once, server)
        await until(lambda: '"a TLS handshake" 400' in caplog.text)
        assert hub.stats()["refused"] == 1
        client = raw(server)
        client.sendall(b"\x16\x03\x01\x00\x05")
        answer = await asyncio.to_thread(read_all, client)
        assert answer.endswith(b"this port does not speak TLS: use ws:// or http://.\n")
        async with server.connect() as client:
            await client.send("hello")
            assert await client.recv() == "hello"


def test_the_command_line_names_the_file_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "hubbub", "run", "app:hub", "--app-dir", str(tmp_path), "--port", "0"]
    with running([*command, "--ssl-certfile", "/nowhere/cert.pem"]) as program:
        assert program.wait() == 1
        assert "/nowhere/cert.pem" in program.output
        assert "Traceback" not in program.output
