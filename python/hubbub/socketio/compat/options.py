"""The arguments of python-socketio's servers, as those of `hubbub.socketio.Server`."""

from __future__ import annotations

from typing import Any

from hubbub.socketio.compat.environ import make_environ
from hubbub.socketio.cors import Cors
from hubbub.socketio.emitter import fitting

__all__ = ["engine_options"]

#: Of the Engine.IO server. These mean nothing here: the network does them, or does without.
_IGNORED = frozenset(
    {
        "async_mode",
        "compression_threshold",
        "engineio_logger",
        "http_compression",
        "logger",
        "monitor_clients",
    }
)


def engine_options(given: dict[str, Any]) -> dict[str, Any]:
    """Raises `TypeError` for what python-socketio does not know, `ValueError` for what is not done here."""
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name == "ping_interval":
            # A tuple has a grace period behind the interval.
            options["ping_interval"] = float(value[0] if isinstance(value, (tuple, list)) else value)
        elif name == "max_http_buffer_size":
            options[name] = int(value) if isinstance(value, float) else value  # 1e8 is how many write it
        elif name in ("ping_timeout", "allow_upgrades"):
            options[name] = value
        elif name == "transports":
            if value is not None:
                options["transports"] = [value] if isinstance(value, str) else list(value)
        elif name == "cookie":
            options["cookie"] = _cookie(value)
        elif name not in (*_IGNORED, "cors_allowed_origins", "cors_credentials"):
            raise TypeError(f"a server has no argument {name!r}")
    options["cors"] = _cors(given.get("cors_allowed_origins"), bool(given.get("cors_credentials", True)))
    return options


#: The attributes of a cookie, as they are written.
_ATTRIBUTES = {
    "path": "path",
    "domain": "domain",
    "max-age": "max_age",
    "httponly": "http_only",
    "secure": "secure",
    "samesite": "same_site",
}


def _cookie(cookie: Any) -> Any:
    if not isinstance(cookie, dict):
        return cookie
    # It has the attributes that are given, and no others.
    said = {"name": "io", "path": None, "http_only": False, "same_site": None}
    for name, value in cookie.items():
        ours = name if name == "name" else _ATTRIBUTES.get(name.lower())
        if ours is None:
            raise ValueError(f"a cookie has {', '.join(_ATTRIBUTES)} here, and no {name!r}")
        said[ours] = value() if callable(value) else value
    return said


def _cors(allowed: Any, credentials: bool) -> Cors:
    """The pages that may connect, and whether their browsers send cookies."""
    if allowed is None:
        return Cors("same-origin", credentials)
    if callable(allowed):
        return Cors(
            lambda origin, request: allowed(*fitting(allowed, origin, make_environ(request))),
            credentials,
        )
    if allowed == "*" or (not isinstance(allowed, str) and "*" in allowed) or not allowed:
        return Cors("*")
    return Cors([origin.rstrip("/") for origin in ([allowed] if isinstance(allowed, str) else allowed)], credentials)
