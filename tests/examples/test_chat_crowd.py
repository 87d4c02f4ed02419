"""examples/chat with 500 people; tests/soak/chat_crowd.py is the same for as long as one likes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import util
from types import SimpleNamespace
from typing import Any

import pytest

from support.program import ROOT

CROWD = ROOT / "tests" / "soak" / "chat_crowd.py"


@pytest.mark.alone
def test_whatever_was_stored_has_been_delivered_to_each_of_five_hundred_whom_it_was_for() -> None:
    command = [sys.executable, str(CROWD), "--users", "500", "--seconds", "4", "--rate", "50", "--leaving", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["stored"] == figures["said"] + figures["unanswered"] > 100
    assert figures["deliveries"] > 100 * figures["stored"]
    assert figures["recovered"] > 0
    assert figures["missing"] == figures["twice"] == figures["not_for_them"] == 0


def test_the_count_finds_what_is_amiss() -> None:
    spec = util.spec_from_file_location("chat_crowd", CROWD)
    assert spec is not None
    assert spec.loader is not None
    crowd: Any = util.module_from_spec(spec)
    sys.modules["chat_crowd"] = crowd
    spec.loader.exec_module(crowd)
    users = [
        SimpleNamespace(audience={"*", "@ada"}, heard=crowd.Counter({1: 1, 3: 1})),
        SimpleNamespace(audience={"*", "@grace"}, heard=crowd.Counter({1: 2, 3: 1})),
        SimpleNamespace(audience={"*", "#red"}, heard=crowd.Counter({2: 1})),
    ]
    kept = {1: {"*"}, 2: {"#red"}, 3: {"@ada"}}
    assert crowd.compare(users, kept) == {"deliveries": 5, "missing": 1, "twice": 1, "not_for_them": 1}
