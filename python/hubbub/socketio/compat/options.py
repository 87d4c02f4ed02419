"""The arguments of python-socketio's servers, as those of `hubbub.socketio.Server`."""

from __future__ import annotations

from typing import Any

__all__ = ["engine_options"]

#: Of the Engine.IO server. These mean nothing here: the network does them, or does without.
_IGNORED = frozenset(
    {
        "async_mode",
        "compression_threshold",
        "cors_credentials",
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
        elif name == "cors_allowed_origins":
            pass
        elif name not in _IGNORED:
            raise TypeError(f"a server has no argument {name!r}")
    options["origins"] = _origins(given.get("cors_allowed_origins"))
    return options


def _cookie(cookie: Any) -> str | None:
    if cookie is None or isinstance(cookie, str):
        return cookie
    if isinstance(cookie, dict) and set(cookie) <= {"name", "path", "SameSite"}:
        return str(cookie.get("name", "io"))
    raise ValueError("a cookie is its name: attributes of its own cannot be given here")


def _origins(allowed: Any) -> list[str] | None:
    """The pages that may connect; ``None``: all."""
    if allowed is None:
        return ["same-origin"]
    if callable(allowed):
        raise ValueError("cors_allowed_origins cannot be a function here: look at environ in the connect handler")
    if allowed == "*" or (not isinstance(allowed, str) and "*" in allowed) or not allowed:
        return None
    return [origin.rstrip("/") for origin in ([allowed] if isinstance(allowed, str) else allowed)]
