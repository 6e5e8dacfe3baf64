"""A WebSocket server of the library `websockets`: it says everything back, in clear at port 80 and over TLS at port 443."""

import asyncio
import ssl
import threading

from websockets.asyncio.server import serve


class Talk:
    def __init__(self, address, certificate, key):
        self.seen = {}     # of the last handshake: its path and its headers
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.loop = asyncio.new_event_loop()
        self.over = asyncio.Event()
        ready = threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=[self.serve(address, ready)], daemon=True)
        self.thread.start()
        assert ready.wait(10)

    def end(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(10)

    async def serve(self, address, ready):
        more = {"select_subprotocol": choose, "process_request": self.admit, "max_size": 1 << 24, "close_timeout": 1}
        async with serve(self.say_back, address, 80, **more), serve(self.say_back, address, 443, ssl=self.context, **more):
            ready.set()
            await self.over.wait()

    def admit(self, connection, request):
        self.seen = {"path": request.path, "headers": request.headers}
        if request.path == "/closed":
            return connection.respond(403, "not for you\n")
        return None

    async def say_back(self, connection):
        async for message in connection:
            if message == "go":
                await connection.close(4001, "as you wish")
                return
            await connection.send(message)


def choose(connection, offered):
    """One of ours, where any is offered; without an offer it goes on without."""
    return next((name for name in offered if name in ("chat.one", "chat.two")), None)
