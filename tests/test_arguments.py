"""Wrong arguments raise at once, with a message that says what was given and what is allowed."""

from __future__ import annotations

import math
import os
import re
import socket
from dataclasses import FrozenInstanceError
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from hubbub import Headers, Hub, Limits, NotRunning, Room, Session, limits
from hubbub.limits import LIMITS
from support.server import Serve, until

ROOT = Path(__file__).parents[1]
REGISTER = ["on_connection", "on_message", "on_close", "on_request", "on_broadcast"]
CALLED_WITH = {
    "on_connection": "(ws)",
    "on_message": "(ws, data)",
    "on_close": "(ws, code, reason)",
    "on_request": "(request)",
    "on_broadcast": "(room, data, sender)",
}


def generator(*args: Any) -> Any:
    yield


async def async_generator(*args: Any) -> Any:
    yield


def nothing() -> None: ...
def one(a: Any) -> None: ...
def two(a: Any, b: Any) -> None: ...
def three(a: Any, b: Any, c: Any) -> None: ...
def four(a: Any, b: Any, c: Any, d: Any) -> None: ...
def keyword(a: Any, *, b: Any) -> None: ...
def optional(a: Any, b: Any = None, c: Any = None) -> None: ...
def anything(*args: Any, **kwargs: Any) -> None: ...
async def later(a: Any) -> None: ...


class Methods:
    def bound(self, ws: Any) -> None: ...


# ---- handlers


@pytest.mark.parametrize("name", REGISTER)
@pytest.mark.parametrize("handler", [7, "handler", b"", [], {}], ids=repr)
def test_a_handler_must_be_callable(name: str, handler: object) -> None:
    with pytest.raises(TypeError, match=rf"{name} takes a function or coroutine function, not "):
        getattr(Hub(), name)(handler)


@pytest.mark.parametrize("name", REGISTER)
@pytest.mark.parametrize("handler", [generator, async_generator])
def test_a_generator_function_is_no_handler(name: str, handler: Any) -> None:
    with pytest.raises(TypeError, match=rf"{name} takes .*; '{handler.__name__}' is a generator function"):
        getattr(Hub(), name)(handler)
    with pytest.raises(TypeError, match="is a generator function"):
        Hub().websocket("/")(handler)


@pytest.mark.parametrize("name", REGISTER)
@pytest.mark.parametrize("handler", [nothing, one, two, three, four, keyword])
def test_a_handler_must_take_what_it_is_called_with(name: str, handler: Any) -> None:
    count = CALLED_WITH[name].count(",") + 1
    if handler in (one, two, three) and handler.__code__.co_argcount == count:
        assert getattr(Hub(), name)(handler) is handler
        return
    with pytest.raises(TypeError) as error:
        getattr(Hub(), name)(handler)
    assert f"{name} is called with {CALLED_WITH[name]}; '{handler.__name__}' takes (" in str(error.value)


@pytest.mark.parametrize("name", REGISTER)
@pytest.mark.parametrize(
    "handler",
    [anything, optional, lambda *args: None, partial(anything, 1)],
    ids=["any", "optional", "lambda", "partial"],
)
def test_whatever_can_be_called_so_is_a_handler(name: str, handler: Any) -> None:
    assert getattr(Hub(), name)(handler) is handler


def test_methods_classes_and_builtins_may_be_handlers() -> None:
    for handler in (Methods().bound, print, [].append):
        assert Hub().on_connection(handler) is handler


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("chat",), ValueError, "begins with '/', not 'chat'"),
        (("",), ValueError, "begins with '/', not ''"),
        ((7,), ValueError, "begins with '/', not 7"),
        ((None,), ValueError, "not None"),
    ],
)
def test_a_path_begins_with_a_slash(arguments: tuple[Any, ...], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Hub().websocket(*arguments)


@pytest.mark.parametrize("handler", [one, anything])
def test_an_endpoint_is_a_coroutine_function(handler: Any) -> None:
    with pytest.raises(TypeError, match="a websocket handler is `async def`; for functions there is on_message"):
        Hub().websocket("/")(handler)


@pytest.mark.parametrize("value", ["chat", [""], [7], [None], "", [b"x"]], ids=repr)
def test_subprotocols_and_origins_are_sequences_of_str(value: Any) -> None:
    for what in ("subprotocols", "origins"):
        for take in (Hub, partial(Hub().websocket, "/")):
            with pytest.raises(TypeError, match=f"{what} is a sequence of non-empty str, not "):
                take(**{what: value})


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None], ids=repr)
def test_concurrency_is_a_whole_number_from_one_on(value: Any) -> None:
    with pytest.raises(ValueError, match="concurrency is a whole number from 1 on, not "):
        Hub().on_message(concurrency=value)


def test_functions_have_no_concurrency() -> None:
    with pytest.raises(TypeError, match="concurrency is for coroutine handlers"):
        Hub().on_message(concurrency=2)(two)


def test_on_broadcast_is_a_function() -> None:
    async def spoken(room: Any, data: Any, sender: Any) -> None: ...

    with pytest.raises(TypeError, match="an on_broadcast handler is a function"):
        Hub().on_broadcast(spoken)


@pytest.mark.parametrize(
    "paths", [["/{a}", "/{b}"], ["/a", "/a"], ["/{a"], ["/{}"], ["/{*rest}/more"], ["/{a}{b}"]], ids=repr
)
def test_paths_that_cannot_be_served_raise_where_they_are_given(paths: list[str]) -> None:
    hub = Hub()
    for path in paths[:-1]:
        hub.websocket(path)(later)
    with pytest.raises(ValueError, match="/"):
        hub.websocket(paths[-1])(later)


# ---- limits


OPTIONAL = [name for name, limit in LIMITS.items() if limit.optional]
NUMBERS = {name: limit for name, limit in LIMITS.items() if limit.unit is not None}
MOST = {name: limit.bounds[1] for name, limit in NUMBERS.items()}
FRACTIONS = ("seconds", "per second")
#: `field: value,` of a struct's default, and `field: type,` of the struct.
DEFAULT = re.compile(r"^            (\w+): (.*),$", re.M)
FIELD = re.compile(r"^    pub (\w+): (.*),$", re.M)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_limit_takes_the_right_type_only(name: str) -> None:
    for wrong in ("1", b"1", [1], True, False, 1j):
        with pytest.raises(TypeError, match=rf"^{name} must be an? .*, got {re.escape(repr(wrong))}$"):
            Limits(**{name: wrong})
    if NUMBERS[name].unit in FRACTIONS:
        assert getattr(Limits(**{name: 1}), name) == 1
        assert getattr(Limits(**{name: 0.25}), name) == 0.25
    else:
        with pytest.raises(TypeError, match=f"^{name} must be an integer .*, got 1.5$"):
            Limits(**{name: 1.5})


@pytest.mark.parametrize("name", LIMITS)
def test_none_is_no_limit_where_there_may_be_none(name: str) -> None:
    if LIMITS[name].optional:
        assert getattr(Limits(**{name: None}), name) is None
    else:
        with pytest.raises((TypeError, ValueError), match=f"{name} must be .*, got None"):
            Limits(**{name: None})


@pytest.mark.parametrize("name", NUMBERS)
def test_a_limit_out_of_range_is_refused(name: str) -> None:
    least, most = NUMBERS[name].bounds
    wrong: list[float] = [-1, 0 if least is None else least - 1, most + 1]
    if NUMBERS[name].unit in FRACTIONS:
        wrong += [-0.1, math.inf, -math.inf, math.nan]
    for value in wrong:
        with pytest.raises(
            ValueError, match=rf"^{name} must be an? .* (from \d+|above 0 and up) to {most}( or None)?, got "
        ):
            Limits(**{name: value})
    if least is not None:
        assert getattr(Limits(**{name: least}), name) == least
    assert getattr(Limits(**{name: most}), name) == most


def rust_limits() -> tuple[dict[str, str], dict[str, str]]:
    """The types and the defaults of the limits in Rust, by the names that they have there."""
    text = (ROOT / "rust" / "net" / "src" / "config" / "settings.rs").read_text()
    types: dict[str, str] = {}
    defaults: dict[str, str] = {}
    for struct in ("Limits", "Settings"):
        types.update(FIELD.findall(re.findall(rf"pub struct {struct} {{.*?^}}", text, re.M | re.S)[0]))
        defaults.update(DEFAULT.findall(re.findall(rf"impl Default for {struct} {{.*?^}}", text, re.M | re.S)[0]))
    return types, defaults


def python_value(rust: str) -> object:
    """What a default in Rust is in Python."""
    some = re.fullmatch(r"Some\((.*)\)", rust)
    if some:
        return python_value(some[1])
    seconds = re.fullmatch(r"Duration::from_secs\((\d+)\)", rust)
    if seconds:
        return float(seconds[1])
    policy = re.fullmatch(r"(?:Rate)?Policy::(\w+)", rust)
    if policy:
        return re.sub(r"(?<!^)([A-Z])", r"_\1", policy[1]).lower()
    number, _, shift = rust.partition(" << ")
    return None if rust == "None" else int(number.replace("_", "")) << int(shift or 0)


#: Limits that the network has by another name, as part of a rate, or not at all: the loop's side watches handlers.
ELSEWHERE = {"messages_per_second": "message_rate", "handshakes_per_second": "handshake_rate"}
NOT_IN_RUST = {"messages_burst", "slow_handler"}


@pytest.mark.parametrize("name", sorted(LIMITS.keys() - NOT_IN_RUST))
def test_a_limit_is_in_rust_what_it_is_in_python(name: str) -> None:
    types, defaults = rust_limits()
    there = ELSEWHERE.get(name, name)
    assert python_value(defaults[there]) == getattr(Limits, name)
    assert types[there].startswith("Option<") == LIMITS[name].optional
    assert ("Duration" in types[there]) == (LIMITS[name].unit == "seconds")


@pytest.mark.parametrize("name", LIMITS)
def test_a_limits_annotation_is_what_its_check_allows(name: str) -> None:
    limit, annotation = LIMITS[name], Limits.__annotations__[name]
    assert annotation.endswith(" | None") == limit.optional
    kind = {"bytes": "int", "count": "int", "seconds": "float", "per second": "float"}.get(limit.unit or "")
    if kind is None:
        assert limit.choices == get_args(getattr(limits, annotation))
    else:
        assert annotation.removesuffix(" | None") == kind


def test_what_help_shows_of_the_limits_names_each() -> None:
    for name, limit in LIMITS.items():
        assert f"        {name}: {limit.help}\n" in (Limits.__doc__ or "")


@pytest.mark.parametrize("policy", ["keep", "", "CLOSE", None, 7, b"drop"], ids=repr)
def test_an_unknown_policy_is_refused(policy: Any) -> None:
    with pytest.raises(ValueError, match='outbox_policy must be "close", "drop" or "drop_oldest", got '):
        Limits(outbox_policy=policy)


@pytest.mark.parametrize("policy", ["drop", "", "PAUSE", None, 7, b"close"], ids=repr)
def test_an_unknown_rate_policy_is_refused(policy: Any) -> None:
    with pytest.raises(ValueError, match='rate_policy must be "pause" or "close", got '):
        Limits(rate_policy=policy)


def test_limits_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Limits().max_message_bytes = 7  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(max_messages=7)  # type: ignore[call-arg]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "limits",
    [
        Limits(**dict.fromkeys(OPTIONAL)),
        Limits(**MOST),
        Limits(max_message_bytes=0, max_empty_fragments=0),
    ],
    ids=["none", "largest", "zero"],
)
async def test_every_allowed_limit_can_be_served(serve: Serve, limits: Limits) -> None:
    async with serve(Hub(limits=limits)) as server, server.connect() as client:
        await client.send("")
        await client.ping(b"alive")
        assert await client.recv_pong() == b"alive"


@pytest.mark.parametrize("limits", [7, {}, {"max_message_bytes": 7}, "none"], ids=repr)
def test_limits_are_limits(limits: Any) -> None:
    with pytest.raises(TypeError, match=r"limits is a hubbub\.Limits, not "):
        Hub(limits=limits)


# ---- addresses


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"port": -1}, ValueError, "port is 0 to 65535, not -1"),
        ({"port": 65536}, ValueError, "not 65536"),
        ({"port": "80"}, TypeError, "port is a whole number, not '80'"),
        ({"port": 80.5}, TypeError, "not 80.5"),
        ({"port": None}, TypeError, "not None"),
        ({"port": True}, TypeError, "not True"),
        ({"host": ""}, TypeError, "host is a name or an address, not ''"),
        ({"host": 7}, TypeError, "not 7"),
        ({"host": None}, TypeError, "not None"),
        ({"uds": "/tmp/x", "fd": 3}, ValueError, "uds and fd exclude each other"),
        ({"uds": 7}, TypeError, "int"),
        ({"fd": -1}, OSError, "Bad file descriptor"),
        ({"fd": "3"}, TypeError, "str"),
        ({"io_threads": -1}, ValueError, "io_threads is a whole number from 0 to 128, not -1"),
        ({"io_threads": 129}, ValueError, "not 129"),
        ({"io_threads": 1.0}, ValueError, "not 1.0"),
        ({"io_threads": None}, ValueError, "not None"),
        ({"host": "256.256.256.256"}, OSError, "256.256.256.256"),
        ({"host": "192.0.2.1"}, OSError, "192.0.2.1"),
        ({"uds": "/nowhere/at/all.sock"}, OSError, "/nowhere/at/all.sock"),
        ({"uds": "/tmp/" + "x" * 200}, (OSError, ValueError), "xxx"),
        ({"backlog": 0}, ValueError, "backlog is a whole number from 1 to 65535, not 0"),
        ({"backlog": 1 << 40}, ValueError, "not 1099511627776"),
        ({"backlog": "1"}, ValueError, "not '1'"),
        ({"trusted_proxies": "127.0.0.1"}, TypeError, "trusted_proxies is a sequence of str, .*, not '127.0.0.1'"),
        ({"trusted_proxies": None}, TypeError, "not None"),
        ({"trusted_proxies": [7]}, TypeError, "trusted_proxies is a sequence of str, not of 7"),
        ({"trusted_proxies": ["localhost"]}, ValueError, 'takes addresses .*"unix" and "\\*", not \'localhost\''),
        ({"trusted_proxies": ["127.0.0.1", "10.0.0.0/33"]}, ValueError, "not '10.0.0.0/33'"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, ValueError, "not '10.0.0.1/8' .*host bits"),
        ({"trusted_proxies": ["fe80::1%eth0"]}, ValueError, "not 'fe80::1%eth0'"),
        ({"trusted_proxies": ["127.0.0.1:80"]}, ValueError, "not '127.0.0.1:80'"),
        ({"trusted_proxies": [""]}, ValueError, "not ''"),
        ({"proxy_protocol": True}, ValueError, "proxy_protocol needs trusted_proxies"),
        ({"proxy_protocol": 2, "trusted_proxies": ["*"]}, TypeError, "proxy_protocol is True or False, not 2"),
        ({"shutdown_timeout": -1}, ValueError, "shutdown_timeout is seconds from 0 to a day, not -1"),
        ({"shutdown_timeout": "1"}, ValueError, "not '1'"),
        ({"shutdown_timeout": math.inf}, ValueError, "not inf"),
        ({"shutdown_timeout": None}, ValueError, "not None"),
    ],
    ids=repr,
)
async def test_an_address_that_cannot_be_served_raises(serve: Serve, options: dict, error: Any, says: str) -> None:
    hub = Hub()
    with pytest.raises(error, match=says):
        async with serve(hub, **options):
            pass
    # Nothing is left of the attempt.
    async with serve(hub) as server, server.connect():
        pass


@pytest.mark.anyio
async def test_a_port_in_use_raises_and_says_which(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use") as error:
            async with serve(Hub(), port=port):
                pass
        assert str(port) in str(error.value)


@pytest.mark.anyio
async def test_a_descriptor_that_is_no_listener_raises_and_stays_open(serve: Serve, tmp_path) -> None:
    with (tmp_path / "file").open("wb") as file:
        with pytest.raises((OSError, ValueError)):
            async with serve(Hub(), fd=file.fileno()):
                pass
        os.fstat(file.fileno())


@pytest.mark.parametrize("loop", ["curio", "", None, 7])
def test_an_unknown_loop_is_refused(loop: Any) -> None:
    with pytest.raises(ValueError, match="loop is one of auto, asyncio, uvloop, trio, not "):
        Hub().run(port=0, loop=loop)


# ---- rooms and sessions


@pytest.mark.parametrize("name", [None, 7, b"room", ["room"], Room], ids=str)
def test_a_rooms_name_is_str(name: Any) -> None:
    hub = Hub()
    given = type(name).__name__
    for take in (hub.room, hub.to, hub.to("fine").to):
        with pytest.raises(TypeError, match=f"a room's name is str, not {given}"):
            take(name)


@pytest.mark.anyio
async def test_a_sessions_rooms_are_named_with_str(serve: Serve) -> None:
    hub = Hub()
    async with serve(hub) as server, server.connect():
        await until(lambda: len(hub.sessions) == 1)
        (ws,) = hub.sessions
        for take in (ws.join, ws.leave, ws.room):
            for name in (None, 7, b"room"):
                with pytest.raises(TypeError, match=f"a room's name is str, not {type(name).__name__}"):
                    take(name)
        with pytest.raises(UnicodeEncodeError):
            ws.join("\ud800")
        assert ws.rooms == frozenset()
        with pytest.raises(TypeError, match="skip takes sessions, not str"):
            hub.room("room").broadcast("x", skip="ws")
        with pytest.raises(TypeError):
            hub.room("room").broadcast("x", skip=7)
        with pytest.raises(TypeError, match="skip takes sessions, not int"):
            hub.skip(ws).broadcast("x") and hub.broadcast("x", skip=[7])


def test_nothing_can_be_sent_by_a_hub_that_does_not_run() -> None:
    hub = Hub()
    for attempt in (
        lambda: hub.broadcast("x"),
        lambda: hub.room("room").broadcast("x"),
        lambda: hub.to("room").broadcast("x"),
        lambda: hub.skip().broadcast("x"),
        hub.stats,
    ):
        with pytest.raises(NotRunning, match="the hub is not running"):
            attempt()
    assert (len(hub.rooms), len(hub.sessions), len(hub.room("room")), hub.room("room").position) == (0, 0, 0, None)
    assert (list(hub.rooms), list(hub.sessions), hub.room("room").members) == ([], [], [])
    hub.stop()


def test_headers_are_read_only() -> None:
    with pytest.raises(TypeError):
        Headers([("a", "b")])["a"] = "c"  # type: ignore[index]


# ---- what users read


def public(cls: type) -> list[str]:
    return [name for name in dir(cls) if not name.startswith("_")]


@pytest.mark.parametrize("name", public(Session))
def test_everything_public_of_a_session_says_what_it_does(name: str) -> None:
    doc = getattr(Session, name).__doc__
    assert doc
    assert doc.strip()[0].isupper() or doc.strip()[0] in "`("


@pytest.mark.parametrize("cls", [Hub, Room, Limits, Headers])
def test_everything_public_has_a_docstring(cls: type) -> None:
    for name in public(cls):
        value = getattr(cls, name)
        if callable(value) or isinstance(value, property):
            assert value.__doc__, f"{cls.__name__}.{name}"
