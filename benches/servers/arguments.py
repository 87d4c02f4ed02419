"""The command line that all servers here have in common: PORT [--mode echo|broadcast|block].

In the mode "block" a handler blocks its thread for as many seconds as the message says, then echoes it.
"""

import argparse


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument("port", type=int)
    made.add_argument("--mode", choices=["echo", "broadcast", "block"], default="echo")
    return made


MAX_MESSAGE_BYTES = 16 << 20
"""What every server is set to accept."""

BACKLOG = 4096
"""Connections that may wait to be accepted."""
