"""People in examples/chat: clients of Socket.IO on one WebSocket each, and the program."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from support.program import PATIENCE, ROOT, Program, running
from support.talking import talking_to

__all__ = ["CHAT", "Person", "chatting", "key_of"]

CHAT = ROOT / "examples" / "chat"


#: Seconds for an answer. The program itself waits ten for its database.
ANSWER_TIME = 3 * PATIENCE

#: What is left of the connections is closed when the program is.
OPEN = ExitStack()


def key_of(name: str) -> str:
    """What the browser of this person keeps."""
    return f"a secret of {name}, long enough"


class Person:
    """One connection. Everything that it hears is kept until it is asked for."""

    def __init__(self, port: int, *, name: str | None = None, auth: dict[str, Any] | None = None) -> None:
        self.ws = OPEN.enter_context(talking_to(port))
        assert str(self.ws.recv(PATIENCE)).startswith("0{")
        self.ws.send(f"40{'' if auth is None else json.dumps(auth)}")
        self.heard: deque[list[Any]] = deque()
        self.answers: dict[int, dict[str, Any]] = {}
        self.offset: str | None = None
        self.told: dict[str, Any] = {}
        while not (packet := self._packet()).startswith("40"):
            self._take(packet)
        opened = json.loads(packet[2:])
        self.sid, self.pid = opened["sid"], opened.get("pid")
        self._asked = 0
        if name is not None:
            self.told = self.enter(name)
            assert "error" not in self.told, self.told

    def enter(self, name: str, **more: Any) -> dict[str, Any]:
        return self.ask("enter", {"name": name, "key": key_of(name), **more})

    def say(self, text: str, *rooms: str) -> dict[str, Any]:
        return self.ask("say", {"text": text, "rooms": [*rooms]} if rooms else {"text": text})

    def ask(self, event: str, *args: Any) -> dict[str, Any]:
        """The answer to an event."""
        return self.answer(self.begin(event, *args))

    def begin(self, event: str, *args: Any) -> int:
        """Sends an event, and does not wait for its answer."""
        self._asked += 1
        self.ws.send(f"42{self._asked}{json.dumps([event, *args])}")
        return self._asked

    def answer(self, number: int) -> dict[str, Any]:
        while number not in self.answers:
            self._take(self._packet())
        return self.answers.pop(number)

    def hears(self, event: str) -> Any:
        """What comes with the next event of this name; others wait for their turn."""
        while True:
            for at, (name, *args) in enumerate(self.heard):
                if name == event:
                    del self.heard[at]
                    return args[0]
            self._take(self._packet())

    def all_heard(self, event: str) -> list[Any]:
        """All events of this name up to now: the server's answer comes behind them."""
        self.ask("who", "red")
        found = [args[0] for name, *args in self.heard if name == event]
        self.heard = deque(one for one in self.heard if one[0] != event)
        return found

    def is_dismissed(self) -> bool:
        """The server has put it out."""
        while (packet := self._packet()) != "41":
            self._take(packet)
        return True

    def leave(self) -> None:
        """Goes on purpose."""
        self.ws.send("41")
        self.ws.close()

    def lose_connection(self) -> None:
        """Goes as a network does, without a word."""
        self.ws.socket.shutdown(2)
        self.ws.close()

    def _packet(self) -> str:
        return str(self.ws.recv(ANSWER_TIME))

    def _take(self, packet: str) -> None:
        if packet.startswith("43"):
            number, _, told = packet[2:].partition("[")
            (self.answers[int(number)],) = json.loads("[" + told)
            return
        assert packet.startswith("42["), packet
        name, *args = json.loads(packet[2:])
        if isinstance(args[-1], str):
            self.offset = args.pop()
        self.heard.append([name, *args])


@contextmanager
def chatting(database: str | Path, *options: str, **environment: str) -> Iterator[tuple[Program, int]]:
    """The program and its port; a path is a file of SQLite."""
    url = f"sqlite+aiosqlite:///{database}" if isinstance(database, Path) else database
    command = [sys.executable, str(CHAT / "app.py"), "--port", "0", "--database", url, *options]
    with running(command, environment=environment) as program:
        with OPEN:
            yield program, int(program.wait_for(r"Open http://127\.0\.0\.1:(\d+)/")[1])
        if program.process.poll() is None:
            assert program.stop() == 0, program.output
    assert "Traceback" not in program.output, program.output
