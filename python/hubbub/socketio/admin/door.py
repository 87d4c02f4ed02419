"""Who is let in: names and passwords, and sessions for pages that come again."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from hubbub._callables import must_wait
from hubbub.socketio.errors import ConnectError

if TYPE_CHECKING:
    from hubbub.socketio.admin.options import AdminOptions
    from hubbub.socketio.socket import Socket

__all__ = ["Door"]

logger = logging.getLogger("hubbub")

#: Seconds for which a page that has logged in may come again without its password.
SESSION_SECONDS = 86_400.0

#: Pages that may; beyond that, the one that has logged in first must do so again.
MAX_SESSIONS = 1_000

#: What the page knows how to show.
REFUSAL = "invalid credentials"


class Door:
    """The middleware of the page's namespace."""

    def __init__(self, options: AdminOptions) -> None:
        self._auth = options.auth
        self._is_open = options.auth is False
        #: Digests, which are of one length: comparing them says nothing about names or passwords.
        self._known: list[tuple[bytes, bytes]] = []
        if not self._is_open and not callable(self._auth):
            self._known = [(digest(one["username"]), digest(one["password"])) for one in options.credentials]
        #: When each session ends, the first to end first.
        self._sessions: OrderedDict[str, float] = OrderedDict()

    def ask(self, socket: Socket) -> Any:
        """Raises `ConnectError` for who is not let in; what must be awaited for that is returned."""
        told = socket.handshake.auth
        if self._is_open or self._has_session(told.get("sessionId")):
            return None
        if callable(self._auth):
            result = self._auth(told)
            if must_wait(result):
                return self._ask_later(socket, result)
            is_known = result is True
        else:
            is_known = self._knows(told.get("username"), told.get("password"))
        if not is_known:
            refuse(socket)
        return None

    async def _ask_later(self, socket: Socket, result: Any) -> None:
        if await result is not True:
            refuse(socket)

    def new_session(self, socket: Socket) -> str | None:
        """What a client that was let in may come again with; ``None``: it has come with that, or needs nothing."""
        if self._is_open or self._has_session(socket.handshake.auth.get("sessionId")):
            return None
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.popitem(last=False)
        session = secrets.token_hex(16)
        self._sessions[session] = time.monotonic() + SESSION_SECONDS
        return session

    def _has_session(self, session: object) -> bool:
        until = self._sessions.get(session) if isinstance(session, str) else None
        return until is not None and time.monotonic() < until

    def _knows(self, username: object, password: object) -> bool:
        if not isinstance(username, str) or not isinstance(password, str):
            return False
        name, word = digest(username), digest(password)
        found = False
        for known_name, known_word in self._known:
            # Both are always compared, and all of them: how long it takes does not tell which is wrong.
            found |= hmac.compare_digest(name, known_name) & hmac.compare_digest(word, known_word)
        return found


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def refuse(socket: Socket) -> None:
    logger.warning("the admin namespace %r has refused %s", socket.nsp.name, socket.handshake.address or "a client")
    raise ConnectError(REFUSAL)
