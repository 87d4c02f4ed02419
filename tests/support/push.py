"""Clients of event streams and of comet endpoints, on httpx: what is special about them is only what they send."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from support.server import Server

__all__ = ["Event", "Patron", "Stream", "browsing", "listening", "opened"]

SEPARATOR = "\x1e"


@dataclass
class Event:
    """One block of an event stream."""

    event: str | None = None
    id: str | None = None
    retry: int | None = None
    data: str | None = None
    comments: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, block: str) -> Event:
        found = cls()
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "":
                found.comments.append(value)
            elif name == "data":
                found.data = value if found.data is None else f"{found.data}\n{value}"
            elif name == "retry":
                found.retry = int(value)
            else:
                assert name in ("event", "id"), block
                setattr(found, name, value)
        return found


class Stream:
    """The events of one response, one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        #: As a browser keeps it.
        self.last_id: str | None = None
        self._chunks = response.aiter_text()
        self._text = ""

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *error: object) -> None:
        # On trio a generator that is left to the garbage collector is an error.
        await self._chunks.aclose()  # type: ignore[attr-defined]

    async def next(self) -> Event | None:
        """``None`` at the end."""
        while "\n\n" not in self._text:
            try:
                self._text += await anext(self._chunks)
            except (StopAsyncIteration, httpx.ReadError, httpx.RemoteProtocolError):
                return None
        block, _, self._text = self._text.partition("\n\n")
        event = Event.parse(block)
        if event.id is not None:
            self.last_id = event.id
        return event

    async def told(self) -> Event:
        """The next event that listeners are told of."""
        while True:
            event = await self.next()
            assert event is not None, "the stream has ended"
            if event.data is not None:
                return event

    async def data(self) -> str:
        event = await self.told()
        assert event.event is None, event
        assert event.data is not None
        return event.data


def _base(server: Server) -> str:
    _, host, port = server.address
    return f"http://{host}:{port}"


@asynccontextmanager
async def browsing(server: Server, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=_base(server), timeout=10, **options) as client:
        yield client


@asynccontextmanager
async def listening(server: Server, path: str, **headers: str) -> AsyncIterator[Stream]:
    """An event stream for the length of a block; headers are written with underscores."""
    # Browsers write an id in UTF-8.
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    fields[b"Accept"] = b"text/event-stream"
    async with browsing(server) as client, client.stream("GET", path, headers=fields) as response:
        assert response.status_code == 200, response.status_code
        assert response.headers["content-type"] == "text/event-stream"
        async with Stream(response) as stream:
            yield stream


class Patron:
    """A client of a comet endpoint by polls; it may listen to a stream instead for a while."""

    def __init__(self, client: httpx.AsyncClient, path: str) -> None:
        self.client = client
        self.path = path
        self.sid = ""
        self.cursor = 0
        self.open: dict[str, Any] = {}
        self._messages: deque[str | bytes | tuple[int, str]] = deque()

    async def begin(self, **query: str | list[str]) -> None:
        response = await self.client.get(self.path, params={"transport": "polling", **query})
        assert response.status_code == 200, response.text
        assert response.text.startswith("0"), response.text
        opening, *packets = response.text.split(SEPARATOR)
        self.open = json.loads(opening[1:])
        self.sid = self.open["sid"]
        # What the server has said at once comes along.
        for packet in packets:
            self._heed(packet)

    @property
    def place(self) -> dict[str, str]:
        return {"sid": self.sid, "cursor": str(self.cursor)}

    async def recv(self) -> str | bytes | tuple[int, str]:
        """The next message, or code and reason at the end; polls for as long as it takes."""
        while not self._messages:
            response = await self.client.get(self.path, params={"transport": "polling", **self.place})
            assert response.status_code == 200, response.text
            for packet in response.text.split(SEPARATOR):
                self._heed(packet)
        message = self._messages.popleft()
        self.cursor += not isinstance(message, tuple)
        return message

    def _heed(self, packet: str) -> None:
        kind, data = packet[0], packet[1:]
        if kind == "4":
            self._messages.append(data)
        elif kind == "t":
            self._messages.append(base64.b64decode(data).decode())
        elif kind == "b":
            self._messages.append(base64.b64decode(data))
        elif kind == "1":
            end = json.loads(data)
            self._messages.append((end["code"], end["reason"]))
        else:
            assert kind == "6", packet

    async def post(self, body: str) -> httpx.Response:
        headers = {"Content-Type": "text/plain;charset=UTF-8"}
        return await self.client.post(self.path, params={"sid": self.sid}, content=body, headers=headers)

    async def send(self, data: str | bytes) -> None:
        body = f"4{data}" if isinstance(data, str) else f"b{base64.b64encode(data).decode()}"
        response = await self.post(body)
        assert (response.status_code, response.text) == (200, "ok"), response.text

    async def close(self, code: int = 1000, reason: str = "") -> None:
        assert (await self.post(f"1{code} {reason}")).status_code == 200

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[Stream]:
        """Goes on with an event stream for the length of a block."""
        query = {"transport": "eventsource", **(self.place if self.sid else {})}
        async with self.client.stream("GET", self.path, params=query) as response:
            assert response.status_code == 200, response.status_code
            async with Stream(response) as stream:
                session = await stream.told()
                assert session.event == "session"
                assert session.data is not None
                self.open = json.loads(session.data)
                self.sid = self.open["sid"]
                yield stream


@asynccontextmanager
async def opened(server: Server, path: str, **query: str | list[str]) -> AsyncIterator[Patron]:
    """A client with an open session, by polls."""
    async with browsing(server) as client:
        patron = Patron(client, path)
        await patron.begin(**query)
        yield patron
