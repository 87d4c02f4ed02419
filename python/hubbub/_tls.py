"""The ``ssl_*`` arguments of `Hub.run`, in uvicorn's spelling, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["CertificateFiles", "Password", "Path", "settings"]

Path = str | os.PathLike[str]

#: A file with certificate and key, or one for each.
CertificateFiles = Path | tuple[Path, Path | None]

#: As in `ssl.SSLContext.load_cert_chain`; text is UTF-8.
Password = str | bytes | bytearray | Callable[[], str | bytes | bytearray]

CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED = range(3)  # as in the module `ssl`, which need not be there


def settings(
    ssl_certfile: Path | None,
    ssl_keyfile: Path | None,
    ssl_keyfile_password: Password | None,
    ssl_ca_certs: Path | None,
    ssl_cert_reqs: int,
    ssl_certificates: Mapping[str, CertificateFiles] | None,
) -> tuple[Any, ...] | None:
    """What the core is told; ``None``: no TLS."""
    try:
        wanted = CERT_NONE <= int(ssl_cert_reqs) <= CERT_REQUIRED
    except (TypeError, ValueError):
        wanted = False
    if not wanted:
        raise ValueError(f"ssl_cert_reqs is ssl.CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED, not {ssl_cert_reqs!r}")
    if ssl_certfile is None and not ssl_certificates:
        others: dict[str, Any] = {"ssl_keyfile": ssl_keyfile, "ssl_keyfile_password": ssl_keyfile_password}
        others |= {"ssl_ca_certs": ssl_ca_certs, "ssl_cert_reqs": ssl_cert_reqs}
        for name, value in others.items():
            if value:
                raise ValueError(f"{name} is of no use without ssl_certfile")
        return None
    if ssl_certfile is None and ssl_keyfile is not None:
        raise ValueError("ssl_keyfile is of no use without ssl_certfile")
    if ssl_cert_reqs and ssl_ca_certs is None:
        raise ValueError("ssl_cert_reqs needs ssl_ca_certs: the authorities that clients' certificates may come from")
    if ssl_ca_certs is not None and not ssl_cert_reqs:
        raise ValueError(
            "ssl_ca_certs without ssl_cert_reqs: no client would be asked for a certificate; "
            "pass ssl_cert_reqs=ssl.CERT_REQUIRED (2) or ssl.CERT_OPTIONAL (1)"
        )
    default = None if ssl_certfile is None else _pair("ssl_certfile", (ssl_certfile, ssl_keyfile))
    named = [(name, _pair(f"ssl_certificates[{name!r}]", files)) for name, files in (ssl_certificates or {}).items()]
    authorities = None if ssl_ca_certs is None else _path("ssl_ca_certs", ssl_ca_certs)
    return default, named, authorities, int(ssl_cert_reqs), _password(ssl_keyfile_password)


def _pair(what: str, files: CertificateFiles) -> tuple[str, str | None]:
    chain, key = files if isinstance(files, tuple) and len(files) == 2 else (files, None)
    return _path(what, chain), None if key is None else _path(what, key)


def _password(password: Any) -> bytes | None:
    said = password() if callable(password) else password
    if said is None and password is None:
        return None
    if not isinstance(said, (str, bytes, bytearray)):
        # What it is instead may be half a password: it is not shown.
        raise TypeError(
            f"ssl_keyfile_password is a str, bytes or a function that returns one, not {type(said).__name__}"
        )
    return said.encode() if isinstance(said, str) else bytes(said)


def _path(what: str, path: Any) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{what} is a path, or a pair of paths (certificate, key), not {path!r}")
    return os.fspath(path)
