"""How messages are compressed (permessage-deflate, RFC 7692)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Compression", "CompressionMode"]

CompressionMode = Literal["shared", "per-session"]


@dataclass(frozen=True)
class Compression:
    """How messages are compressed for clients that offer it. ``"shared"`` and ``"per-session"`` stand for its defaults.

    Attributes:
        mode: ``"shared"`` compresses each message by itself, with streams that all sessions share: an idle session
            holds nothing, and a broadcast is compressed once for all. ``"per-session"`` lets messages refer back to
            earlier ones, which makes short and similar ones smaller; each session then holds up to 0.4 MiB, and a
            broadcast is compressed for each member.
        level: the effort, from 1 to 9.
        threshold_bytes: shorter messages are sent as they are.
        window_bits: how far a message refers back at most, as a power of two from 9 to 15; a client that cannot be told
            uses 15 for what it sends.
    """

    mode: CompressionMode = "shared"
    level: int = 3
    threshold_bytes: int = 256
    window_bits: int = 15

    def __post_init__(self) -> None:
        if self.mode not in ("shared", "per-session"):
            raise ValueError(f'a compression mode is "shared" or "per-session", not {self.mode!r}')
        for name, least, most in _RANGES:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} is a whole number, not {value!r}")
            if not least <= value <= most:
                raise ValueError(f"{name} is out of range ({least} to {most}): {value!r}")

    @classmethod
    def read(cls, setting: Compression | CompressionMode | None) -> Compression | None:
        """What a ``compression=`` argument stands for."""
        if setting is None or isinstance(setting, Compression):
            return setting
        if setting not in ("shared", "per-session"):
            raise ValueError(f'compression is "shared", "per-session", a hubbub.Compression or None, not {setting!r}')
        return cls(setting)


_RANGES = [("level", 1, 9), ("threshold_bytes", 0, 1 << 31), ("window_bits", 9, 15)]
