"""A client's request, before the session is open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, unquote

from hubbub import _core
from hubbub._fields import ResponseHeaders, pairs

__all__ = ["Headers", "Request", "Response"]


#: Up to so many fields, which is all that browsers send, are looked through; an index of them would only take memory.
_FEW = 32


class Headers(Mapping[str, str]):
    """Header fields: names compare without regard to case; a name may stand several times.

    ``headers[name]`` joins the values of a repeated field with ``", "`` (RFC 9110 §5.3); ``getlist`` gives them one
    by one. Several Cookie fields are one, joined with ``"; "``; Host is what an absolute target says, if there is one.
    Values are read as ISO-8859-1, so none is ever refused.
    """

    __slots__ = ("_fields", "_index")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = list(fields)
        self._index: dict[str, list[str]] | None = None

    def __getitem__(self, name: str) -> str:
        values = self.getlist(name)
        if not values:
            raise KeyError(name)
        # RFC 9113 §8.2.3 for cookies, RFC 9110 §5.3 for all others.
        return ("; " if name.lower() == "cookie" else ", ").join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._fields))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._fields})

    def getlist(self, name: str) -> list[str]:
        """All values of a field, in the order of the request."""
        name = name.lower()
        if len(self._fields) <= _FEW:
            return [value for other, value in self._fields if other.lower() == name]
        if self._index is None:
            self._index = {}
            for other, value in self._fields:
                self._index.setdefault(other.lower(), []).append(value)
        return list(self._index.get(name, ()))

    def raw(self) -> list[tuple[str, str]]:
        """Names and values in the order of the request, the names as they were written."""
        return list(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


@dataclass
class Response:
    """An HTTP answer instead of a session, returned by an ``on_request`` handler.

    Attributes:
        status: 200 to 599.
        body: text is sent as UTF-8.
        headers: further fields; a list of values is as many fields. ``Content-Length`` and ``Connection`` are added.
            Text bodies get ``Content-Type: text/plain; charset=utf-8`` unless it is given.

    Raises:
        TypeError, ValueError: the status, the body or a header cannot be sent.
    """

    status: int
    body: str | bytes = b""
    headers: Mapping[str, str | list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.status, int) or not 200 <= self.status <= 599:
            raise ValueError(f"a response's status is 200 to 599, not {self.status!r}")
        if not isinstance(self.body, (str, bytes)):
            raise TypeError(f"a response's body is str or bytes, not {type(self.body).__name__}")
        pairs(self.headers)

    def _fields(self) -> list[tuple[str, str]]:
        fields = pairs(self.headers)
        if isinstance(self.body, str) and not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("Content-Type", "text/plain; charset=utf-8"))
        return fields


class Request:
    """The request that opens, or wants to open, a session.

    An ``on_request`` handler may set ``subprotocol``, fill ``response_headers`` and attach anything to ``state``;
    the session finds it again as ``ws.state``.

    Attributes:
        method: ``"GET"`` for every WebSocket.
        target: the request target as it came.
        path: its path, percent-decoded.
        query_string: what follows the ``?``, as it came.
        path_params: what the ``{names}`` of the endpoint's path stand for, percent-decoded.
        headers: the header fields.
        remote_address: ``(host, port)`` of the client; ``None`` on a unix socket. Where a trusted proxy has told it,
            the port is 0 unless the proxy has told that as well.
        proxy_address: ``(host, port)`` of the trusted proxy that has told it; ``None`` if none has, or it is at a unix
            socket.
        secure: the client came over TLS: to the hub or, as a trusted proxy says, to that.
        is_websocket: the client asks for a WebSocket. If not, only a ``Response`` can answer it.
        subprotocols: what the client offers, in its order of preference.
        subprotocol: what will be answered: the endpoint's first that the client offers, unless changed here.
        response_headers: fields to add to the 101 response, or the first one of another transport; a list of values is
            as many fields. What the network says by itself (Connection, Sec-WebSocket-* and so on) is a ValueError.
        state: anything; becomes ``ws.state``.
    """

    __slots__ = (
        "_opening",
        "_response_headers",
        "headers",
        "is_websocket",
        "method",
        "path",
        "path_params",
        "proxy_address",
        "query_string",
        "remote_address",
        "secure",
        "state",
        "subprotocol",
        "target",
    )

    def __init__(self, opening: _core.Opening) -> None:
        self._opening = opening
        self.method, self.target, path, self.query_string = opening.line()
        self.path = unquote(path)
        self.headers = Headers(opening.fields())
        self.path_params = {name: unquote(value) for name, value in opening.path_params}
        self.remote_address = opening.remote_address
        self.proxy_address = opening.proxy_address
        self.secure = opening.secure
        self.is_websocket = opening.upgrade
        self.subprotocol = opening.subprotocol
        self._response_headers = ResponseHeaders()
        self.state: Any = SimpleNamespace()

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, decoded; of a repeated one the first value."""
        query: dict[str, str] = {}
        for name, value in parse_qsl(self.query_string, keep_blank_values=True, errors="replace"):
            query.setdefault(name, value)
        return query

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the client has sent; of a repeated one the first value, which is for the nearest path."""
        cookies: dict[str, str] = {}
        for pair in self.headers.get("cookie", "").split(";"):
            name, equals, value = pair.strip().partition("=")
            if equals:
                cookies.setdefault(name.strip(), value.strip().removeprefix('"').removesuffix('"'))
        return cookies

    @property
    def response_headers(self) -> MutableMapping[str, str | list[str]]:
        return self._response_headers

    @response_headers.setter
    def response_headers(self, headers: Mapping[str, str | list[str]]) -> None:
        self._response_headers = ResponseHeaders(headers)

    @property
    def client_certificate(self) -> bytes | None:
        """The certificate that the client has shown, in DER, verified; ``None`` if it has shown none."""
        return self._opening.client_certificate

    @property
    def origin(self) -> str | None:
        """The page that opens the connection (RFC 6454); ``None`` if it is not a browser's."""
        return self.headers.get("origin")

    @property
    def subprotocols(self) -> list[str]:
        offered = ",".join(self.headers.getlist("sec-websocket-protocol"))
        return [name.strip() for name in offered.split(",") if name.strip()]

    def __getattr__(self, name: str) -> Any:
        if name in ("json", "body", "form", "text", "stream", "read", "data"):
            raise AttributeError(
                f"a Request has no {name}: an on_request handler answers before the content comes. What is posted is "
                "for an ASGI application: Hub(app=...)"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target!r}>"
