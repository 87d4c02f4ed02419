"""Paths of endpoints, checked where they are given."""

from __future__ import annotations

import re

__all__ = ["check_path", "shape"]

#: `{name}`, or `{*name}` at the end.
_PARAMETER = re.compile(r"\{(\*?)(\w+)\}")

#: How others write a parameter: `<name>`, `<int:name>`, `{name:int}`, `:name`, a star alone.
_ELSEWHERE = re.compile(
    r"<(?:\w+:)?(?P<flask>\w+)>|\{(?P<starlette>\w+):\w*\}|\{(?P<rest>\w+)[^\w{}]*\*\}|(?<=/):(?P<express>\w+)|(?<=/)(?P<star>\*)(?=$|/)"
)


def check_path(path: object) -> str:
    """Raises `ValueError` for what is no path, and for parameters as other frameworks write them."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(f"an endpoint's path is a str that begins with '/', not {path!r}")
    # Doubled braces stand for themselves.
    plain = path.replace("{{", "").replace("}}", "")
    elsewhere = _ELSEWHERE.search(plain)
    if elsewhere is not None:
        name = elsewhere[elsewhere.lastgroup or 0]
        written = "{*rest}" if name == "*" else f"{{{name}}}"
        instead = path.replace(elsewhere[0], written, 1)
        raise ValueError(
            f"a parameter of a path is written {written}, not {elsewhere[0]}: {instead!r}. Its value is a str"
        )
    left = _PARAMETER.sub("", plain)
    if "{" in left or "}" in left:
        raise ValueError(f"a parameter of a path is a name in braces, such as '/chat/{{room}}', not {path!r}")
    if any(len(_PARAMETER.findall(segment)) > 1 for segment in plain.split("/")):
        raise ValueError(f"between two slashes of a path there is one parameter at most, not as in {path!r}")
    several = [found for found in _PARAMETER.finditer(plain) if found[1] and found.end() != len(plain)]
    if several:
        raise ValueError(f"{several[0][0]} takes the rest of a path, so it stands at its end, not as in {path!r}")
    return path


def shape(path: str) -> str:
    """The same for paths that the same requests would go to."""
    return _PARAMETER.sub(r"{\1}", path)
