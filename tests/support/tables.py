"""The guide's tables that are made of what the code says. Run as a program, it writes them."""

from __future__ import annotations

import re
from pathlib import Path

from hubbub import Limits
from hubbub.limits import LIMITS

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"
HEAD = "| limit | default | what it bounds; what happens beyond it |\n|---|---|---|\n"


def limits_table() -> str:
    """The rows of the table of limits."""
    rows = []
    for name, limit in LIMITS.items():
        default = getattr(Limits, name)
        shown = f'"{default}"' if isinstance(default, str) else str(default)
        may_be_none = " May be `None`." if limit.optional and "`None`" not in limit.help else ""
        rows.append(f"| `{name}` | {shown} | {limit.help}{may_be_none} |\n")
    return "".join(rows)


def written(guide: str) -> str:
    """The guide with the tables that the code says."""
    found = re.subn(rf"({re.escape(HEAD)})(\|.*\n)*", lambda match: match[1] + limits_table(), guide)
    assert found[1] == 1, "the guide has no table of limits"
    return found[0]


if __name__ == "__main__":
    GUIDE.write_text(written(GUIDE.read_text()))
