"""nginx as a reverse proxy in front of the gateway: whom it forwards for, upgrades, and calls."""

import grpc
from websockets.asyncio.client import connect

from clients import curl


def test_a_trusted_proxy_is_believed_whom_it_forwards_for():
    answer = curl("http://reverse.test/", "--interface", "192.0.2.77", "--header", "Host: echo.test")
    assert (answer.status, answer.echo["host"], answer.asked("x-forwarded-proto")) == (200, "echo.test", "http")
    assert answer.asked("x-forwarded-for") == "192.0.2.77, 192.0.2.53"


def test_others_are_not():
    says = ["--header", "X-Forwarded-For: 203.0.113.1", "--header", "X-Forwarded-Proto: https"]
    answer = curl("http://echo.test/", "--interface", "192.0.2.77", *says)
    assert (answer.asked("x-forwarded-for"), answer.asked("x-forwarded-proto")) == ("192.0.2.77", "http")


async def test_a_websocket_passes_both():
    async with connect("ws://talk.test/room", host="192.0.2.53", port=80, open_timeout=10) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"


def test_calls_pass_both():
    with grpc.insecure_channel("192.0.2.53:81", options=[("grpc.default_authority", "calls.test")]) as channel:
        assert channel.unary_unary("/interop.Talk/Say")(b"hello", timeout=10) == b"hello"
        assert [int(message) for message in channel.unary_stream("/interop.Talk/Count")(b"100", timeout=10)] == list(range(100))
