"""The library `websockets`, to a server of its own and to that of the upstream suite, in clear and over TLS."""

import asyncio
import ssl
from contextlib import AsyncExitStack

import pytest
import websockets
from websockets.asyncio.client import connect


@pytest.fixture(params=["ws", "wss"])
def open_socket(request, files):
    """Opens a WebSocket at a path of talk.test."""
    trust = {"ssl": ssl.create_default_context(cafile=files / "servers.pem")} if request.param == "wss" else {}
    return lambda path, **more: connect(f"{request.param}://talk.test{path}", max_size=1 << 24, open_timeout=10, **trust, **more)


async def heard(socket):
    """What comes next."""
    return await asyncio.wait_for(socket.recv(), 20)


async def test_text_and_bytes_come_back(open_socket, talk):
    async with open_socket("/room?a=b") as socket:
        for message in ("grüße", b"\x00\xff", "", b""):
            await socket.send(message)
            assert await heard(socket) == message
    assert talk.seen["path"] == "/room?a=b"


async def test_a_backend_over_tls_and_without_app_protocol_is_reached_too(open_socket, talk):
    async with open_socket("/secure/room") as socket:
        await socket.send("hello")
        assert await heard(socket) == "hello"
    assert talk.seen["path"] == "/secure/room"


async def test_the_upstream_suites_server_answers_by_its_app_protocol(open_socket):
    async with open_socket("/upstream", origin="http://talk.test", compression=None) as socket:
        await socket.send("hello")
        assert await heard(socket) == "hello"


async def test_protocol_and_compression_are_agreed_upon_with_the_backend(open_socket):
    async with open_socket("/", subprotocols=["chat.two"]) as socket:
        assert socket.subprotocol == "chat.two"
        assert socket.response.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
        await socket.send("again " * 10000)
        assert await heard(socket) == "again " * 10000


async def test_large_messages_and_messages_in_pieces_come_back_whole(open_socket):
    message = bytes(range(256)) * (1 << 15)      # 8 MiB
    async with open_socket("/", compression=None) as socket:
        await socket.send(message)
        assert await heard(socket) == message
        await socket.send(message[start:start + 1000] for start in range(0, 50000, 1000))
        assert await heard(socket) == message[:50000]


async def test_pings_are_answered_by_the_backend(open_socket):
    async with open_socket("/") as socket:
        await asyncio.wait_for(await socket.ping(b"here?"), 10)


async def test_a_close_of_the_backend_arrives_with_its_reason(open_socket):
    async with open_socket("/") as socket:
        await socket.send("go")
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await heard(socket)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you wish")


async def test_a_backend_that_does_not_want_to_says_so(open_socket):
    with pytest.raises(websockets.InvalidStatus) as refused:
        await open_socket("/closed")
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"not for you\n")


async def test_a_hundred_are_open_at_once(open_socket):
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_socket("/", compression=None)) for _ in range(100)]
        for number, socket in enumerate(sockets):
            await socket.send(str(number))
        assert [await heard(socket) for socket in sockets] == [str(number) for number in range(100)]
