"""Many clients whose connections are cut: nothing is lost, comes twice, or comes out of order; `make soak` has more."""

from __future__ import annotations

import pytest

from support.numbered import CALLERS, TRANSPORTS, check


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("threads", [0, 1, 4])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_number_comes_once_and_in_order(transport: str, threads: int, caller: str) -> None:
    totals = check(transport, threads, caller)
    assert totals.faults == []
    assert totals.heard > 0
    if transport != "websocket":
        assert totals.continued > 0, "no client has gone on where it was"
