"""The options of listening: one list of them, shown wherever they are taken."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from hubbub import Hub
from hubbub.__main__ import _listen_arguments, _parser
from hubbub._listen import HELP, ListenArguments, ListenOptions
from hubbub.socketio import Server
from hubbub.socketio.compat import ASGIApp, AsyncServer

TAKERS: dict[str, Callable[..., Any]] = {
    "Hub.run": Hub.run,
    "Hub.serve": Hub.serve,
    "Hub.listening": Hub.listening,
    "socketio.Server.run": Server.run,
    "ASGIApp.run": ASGIApp.run,
}


def test_the_keyword_arguments_are_the_fields() -> None:
    taken = {entry.name: entry.type for entry in fields(ListenOptions) if entry.name not in ("host", "port")}
    assert {name: annotation.__forward_arg__ for name, annotation in ListenArguments.__annotations__.items()} == taken


@pytest.mark.parametrize("taker", TAKERS.values(), ids=list(TAKERS))
def test_every_taker_shows_every_option(taker: Callable[..., Any]) -> None:
    parameters = inspect.signature(taker).parameters
    for entry in fields(ListenOptions):
        assert (parameters[entry.name].default, parameters[entry.name].annotation) == (entry.default, entry.type)
        assert f"            {entry.name}: " in (taker.__doc__ or "")
    assert not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


@pytest.mark.parametrize(
    "taker",
    [Hub().run, Hub().listening, Server().run, ASGIApp(AsyncServer()).run],
    ids=lambda taker: taker.__qualname__,
)
def test_an_unknown_option_is_refused_before_anything_begins(taker: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"there is no argument io_thread=: did you mean io_threads=\?"):
        taker(io_thread=1)


def test_the_command_line_has_every_option_with_its_default() -> None:
    parsed = _parser().parse_args(["run", "app:hub"])
    assert ListenOptions(**_listen_arguments(parsed)) == ListenOptions(ssl_certificates={})


def test_the_command_line_hands_on_every_option() -> None:
    given = "--host h --port 1 --uds u --uds-mode 660 --uds-group g --fd 3 --io-threads 4 --backlog 5 --reuse-port"
    given += " --shutdown-timeout 6 --no-access-log --ssl-certfile c --ssl-keyfile k --ssl-keyfile-password p"
    given += " --ssl-ca-certs a --ssl-cert-reqs 2 --ssl-certificate n c k --trusted-proxy * --proxy-protocol"
    options = ListenOptions(**_listen_arguments(_parser().parse_args(["run", "app:hub", *given.split()])))
    for name in HELP:
        assert getattr(options, name) != getattr(ListenOptions, name), name
    assert (options.uds_mode, options.ssl_certificates, options.trusted_proxies) == (0o660, {"n": ("c", "k")}, ["*"])


def test_the_options_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ListenOptions().port = 1  # type: ignore[misc]
