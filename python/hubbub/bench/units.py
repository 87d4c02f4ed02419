"""Numbers as people read them."""

from __future__ import annotations

__all__ = ["bytes_of", "count", "duration", "number", "percent"]


def number(value: float) -> str:
    """Three significant digits and a letter: 12.3 k."""
    for limit, divisor, letter in ((999.5e6, 1e9, " G"), (999.5e3, 1e6, " M"), (9999.5, 1e3, " k")):
        if abs(value) >= limit:
            return _three(value / divisor) + letter
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else _three(value)


def count(value: int) -> str:
    """All digits, in groups of three."""
    return f"{value:,}".replace(",", " ")


def duration(microseconds: float) -> str:
    """A time in the unit that suits it."""
    if microseconds >= 999_500:
        return f"{_three(microseconds / 1e6)} s"
    if microseconds >= 999.5:
        return f"{_three(microseconds / 1e3)} ms"
    return f"{_three(microseconds)} us"


def bytes_of(value: float) -> str:
    """Bytes in powers of 1024."""
    for limit, letter in ((1 << 30, "GiB"), (1 << 20, "MiB"), (10 << 10, "KiB")):
        if abs(value) >= limit:
            return f"{_three(value / (limit if letter != 'KiB' else 1024))} {letter}"
    return f"{value:.0f} B"


def percent(share: float) -> str:
    """A share of 1."""
    return f"{share * 100:.0f} %"


def _three(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"
