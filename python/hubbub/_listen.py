"""How a hub listens: the options of `Hub.run`, `Hub.serve`, `Hub.listening` and the command line, written once."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict, TypeVar

from hubbub import _addresses, _arguments, _tls

__all__ = ["HELP", "ListenArguments", "ListenOptions", "check_shutdown_timeout", "shows_options"]

#: Seconds: a day.
MAX_SHUTDOWN_TIMEOUT = 86_400.0

F = TypeVar("F", bound=Callable[..., Any])


def _option(default: object, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class ListenOptions:
    """Where and how a hub listens.

    Raises:
        ValueError: ``io_threads`` or ``shutdown_timeout`` is out of range.
    """

    host: str = _option(
        "127.0.0.1", "host name or address. Every address that it resolves to is served, IPv4 and IPv6."
    )
    port: int = _option(8000, "TCP port; 0 lets the system choose. The log says which.")
    uds: str | os.PathLike[str] | None = _option(None, "path of a unix socket, instead of host and port.")
    uds_mode: int | None = _option(
        None,
        "permissions of the unix socket, such as `0o660`; by umask if not given. Whoever may write to it may connect.",
    )
    uds_group: str | int | None = _option(
        None, "group of the unix socket, by name or number. This process must be a member of it."
    )
    fd: int | None = _option(None, "descriptor of a listening socket, instead of host and port.")
    io_threads: int = _option(1, "threads for the network, from 0 to 128; 0 runs it in the event loop's own thread.")
    backlog: int = _option(2048, "connections that may wait in the accept queue, from 1 to 65535.")
    reuse_port: bool = _option(False, "let several processes listen on the same port (SO_REUSEPORT).")
    shutdown_timeout: float = _option(5.0, "seconds for everything in flight when the hub stops, at most a day.")
    access_log: bool = _option(True, "log each request to `hubbub.access`.")
    ssl_certfile: _tls.Path | None = _option(
        None, "certificate chain in PEM. With it, the hub speaks TLS 1.2 and 1.3, and nothing else."
    )
    ssl_keyfile: _tls.Path | None = _option(None, "private key in PEM, if it is not in the certificate's file.")
    ssl_keyfile_password: _tls.Password | None = _option(
        None,
        "passphrase of each private key that is encrypted (PKCS #8). It may be a function that returns it, which is"
        " called once.",
    )
    ssl_ca_certs: _tls.Path | None = _option(
        None, "authorities that clients' certificates may come from, in PEM. It needs `ssl_cert_reqs`."
    )
    ssl_cert_reqs: int = _option(
        0,
        "ask clients for a certificate: 0 no, 1 optional, 2 required. These are `ssl.CERT_NONE`, `ssl.CERT_OPTIONAL`"
        " and `ssl.CERT_REQUIRED`.",
    )
    ssl_certificates: Mapping[str, _tls.CertificateFiles] | None = _option(
        None,
        'further certificates by host name (SNI): `{"example.org": ("cert.pem", "key.pem")}`. `"*.example.org"` is for'
        " all names one level below.",
    )
    trusted_proxies: Sequence[str] = _option(
        (),
        'proxies whose word about the client counts: addresses, networks (`"10.0.0.0/8"`), `"unix"` for unix sockets,'
        ' `"*"` for everyone. They tell it by `X-Forwarded-For` and `X-Forwarded-Proto`, or `Forwarded` (RFC 7239).',
    )
    proxy_protocol: bool = _option(
        False,
        "require a PROXY protocol header, version 1 or 2, and accept connections only from trusted proxies.",
    )

    def __post_init__(self) -> None:
        if not isinstance(self.io_threads, int) or not 0 <= self.io_threads <= 128:
            raise ValueError(f"io_threads is a whole number from 0 to 128, not {self.io_threads!r}")
        check_shutdown_timeout(self.shutdown_timeout)

    @classmethod
    def of(cls, host: str, port: int, arguments: ListenArguments, *others: str) -> ListenOptions:
        """Read what a caller was given.

        Args:
            host: name or address.
            port: of TCP.
            arguments: the further options, by name.
            others: names that the caller takes beside these, for the hint about an unknown one.

        Raises:
            TypeError: there is no option of such a name.
            ValueError: a value is out of range.
        """
        _arguments.unknown((name for name in arguments if name not in HELP), (*HELP, *others))
        return cls(host=host, port=port, **arguments)

    def bind(self) -> tuple[Any, ...]:
        """The address that the core listens on. Raises for values that are no address."""
        return _addresses.bind(
            self.host, self.port, self.uds, self.fd, self.backlog, self.reuse_port, self.uds_mode, self.uds_group
        )

    def tls(self) -> tuple[Any, ...] | None:
        """The certificates for the core, or `None` without TLS. Raises for options that do not fit together."""
        return _tls.settings(
            self.ssl_certfile,
            self.ssl_keyfile,
            self.ssl_keyfile_password,
            self.ssl_ca_certs,
            self.ssl_cert_reqs,
            self.ssl_certificates,
        )

    def proxies(self) -> tuple[list[str], bool] | None:
        """The trusted proxies for the core, or `None`. Raises for names that are no address."""
        return _addresses.proxies(self.trusted_proxies, self.proxy_protocol)


class ListenArguments(TypedDict, total=False):
    """The fields of `ListenOptions` but host and port, as keyword arguments (PEP 692)."""

    uds: str | os.PathLike[str] | None
    uds_mode: int | None
    uds_group: str | int | None
    fd: int | None
    io_threads: int
    backlog: int
    reuse_port: bool
    shutdown_timeout: float
    access_log: bool
    ssl_certfile: _tls.Path | None
    ssl_keyfile: _tls.Path | None
    ssl_keyfile_password: _tls.Password | None
    ssl_ca_certs: _tls.Path | None
    ssl_cert_reqs: int
    ssl_certificates: Mapping[str, _tls.CertificateFiles] | None
    trusted_proxies: Sequence[str]
    proxy_protocol: bool


#: What each option is for, by name; the first sentence is the command line's.
HELP: dict[str, str] = {entry.name: entry.metadata["help"] for entry in fields(ListenOptions)}

#: The line of a docstring that `shows_options` replaces.
_PLACE = "            options: those of `ListenOptions`.\n"


def shows_options(function: F) -> F:
    """Show every option in the signature and the docstring of a function that takes ``**options``."""
    signature = inspect.signature(function)
    *own, last = signature.parameters.values()
    shown = [entry for entry in fields(ListenOptions) if entry.name not in signature.parameters]
    kind = inspect.Parameter.KEYWORD_ONLY
    own += [inspect.Parameter(entry.name, kind, default=entry.default, annotation=entry.type) for entry in shown]
    assert last.kind is inspect.Parameter.VAR_KEYWORD
    function.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    lines = "".join(f"            {entry.name}: {HELP[entry.name]}\n" for entry in shown)
    function.__doc__ = (function.__doc__ or "").replace(_PLACE, lines)
    return function


def check_shutdown_timeout(seconds: float) -> None:
    """Raise `ValueError` for a time that a stop cannot have."""
    if not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_SHUTDOWN_TIMEOUT:
        raise ValueError(f"shutdown_timeout is seconds from 0 to a day, not {seconds!r}")
