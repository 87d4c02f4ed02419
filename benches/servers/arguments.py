"""The command line that all servers here have in common: PORT [--mode echo|broadcast|block].

The servers of Socket.IO have the modes "talk" and "idle" instead.

In the mode "block" a handler blocks its thread for as many seconds as the message says, then echoes it.
"""

import argparse


def parser(*modes: str) -> argparse.ArgumentParser:
    modes = modes or ("echo", "broadcast", "block")
    made = argparse.ArgumentParser()
    made.add_argument("port", type=int)
    made.add_argument("--mode", choices=modes, default=modes[0])
    return made


MAX_MESSAGE_BYTES = 16 << 20
"""What every server is set to accept."""

BACKLOG = 4096
"""Connections that may wait to be accepted."""
