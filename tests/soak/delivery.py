"""Numbered messages to clients whose connections are cut, over every transport, thread mode and caller in turn.

    delivery.py [--seconds 600]

tests/test_delivery.py is the short form. Ends with 1 and says what was lost, came twice or came out of order.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.numbered import CALLERS, TRANSPORTS, check


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    until = time.monotonic() + parser.parse_args().seconds
    faults = 0
    for seed in itertools.count():
        for transport, threads, caller in itertools.product(TRANSPORTS, (0, 1, 4), CALLERS):
            if time.monotonic() > until:
                print(f"{faults} faults")
                return 1 if faults else 0
            totals = check(transport, threads, caller, clients=12, cuts=20, seed=seed)
            faults += len(totals.faults)
            print(
                f"{transport} io_threads={threads} {caller}: {totals.sent} sent, {totals.heard} heard, "
                f"{totals.connections} connections, {totals.continued} went on; {totals.faults or 'nothing lost'}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
