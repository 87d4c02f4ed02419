"""The cookie that load balancers keep a client's requests together by (RFC 6265 §4.1)."""

from __future__ import annotations

import re
from typing import Any

from hubbub._fields import TOKEN

__all__ = ["read_cookie"]

#: Of a path or domain.
VALUE = re.compile(r"[\x20-\x3a\x3c-\x7e]+")

DEFAULTS: dict[str, Any] = {
    "name": "io",
    "path": "/",
    "domain": None,
    "max_age": None,
    "http_only": True,
    "secure": False,
    "same_site": "lax",
}


def read_cookie(cookie: str | dict[str, Any] | None) -> tuple[str, str] | None:
    """The name of the cookie, and what stands behind its value."""
    if cookie is None:
        return None
    if not isinstance(cookie, (str, dict)):
        raise TypeError(f"a cookie is its name, or a dict, not {cookie!r}")
    given = {"name": cookie} if isinstance(cookie, str) else cookie
    unknown = [name for name in given if name not in DEFAULTS]
    if unknown:
        raise TypeError(f"a cookie has {', '.join(DEFAULTS)}, and no {unknown[0]!r}")
    said = DEFAULTS | given
    if not isinstance(said["name"], str) or not TOKEN.fullmatch(said["name"]):
        raise ValueError(f"a cookie's name is letters, digits and -_.!, not {said['name']!r}")
    attributes = ""
    for name, title in (("path", "Path"), ("domain", "Domain")):
        value = said[name]
        if value is not None:
            if not isinstance(value, str) or not VALUE.fullmatch(value):
                raise ValueError(f"a cookie's {name} is printable and without a semicolon, not {value!r}")
            attributes += f"; {title}={value}"
    if said["max_age"] is not None:
        attributes += f"; Max-Age={int(said['max_age'])}"
    if said["http_only"]:
        attributes += "; HttpOnly"
    if said["secure"]:
        attributes += "; Secure"
    same_site = said["same_site"]
    if same_site is not None:
        if not isinstance(same_site, str) or same_site.lower() not in ("strict", "lax", "none"):
            raise ValueError(f'same_site is "strict", "lax", "none" or None, not {same_site!r}')
        if same_site.lower() == "none" and not said["secure"]:
            raise ValueError('same_site="none" needs secure=True: browsers refuse such a cookie otherwise')
        attributes += f"; SameSite={same_site.capitalize()}"
    return said["name"], attributes
