"""The names of rooms, as programs and as the network have them."""

from __future__ import annotations

from typing import Any

__all__ = ["given_room", "wire_rooms"]


def wire_rooms(room: Any) -> list[str]:
    """Rooms as hubbub names them: ``str``, or whole numbers, which python-socketio takes as well."""
    if isinstance(room, (list, tuple, set, frozenset)):
        return [name for each in room for name in wire_rooms(each)]
    if isinstance(room, str):
        # Clients may name rooms: none of their names is that of a number.
        return [f"\0{room}" if room.startswith("\0") else room]
    if isinstance(room, int):
        return [f"\0{int(room)}"]
    raise TypeError(f"a room is a str or an int, not {room!r}")


def given_room(name: str) -> Any:
    """A room as it was given."""
    if name.startswith("\0"):
        return name[1:] if name.startswith("\0\0") else int(name[1:])
    return name
