#!/usr/bin/env python3
"""hubbub beside other servers: the same scenarios, one machine, one run, figures as ratios.

    make bench
    python benches/compare.py --only 'echo-*' --only '*/floor' --rounds 5

Rivals are installed below .venv/rivals the first time; who cannot be installed, or does not do what a check asks for,
is left out by name. Every measurement is added to reports/compare-DATE/results.jsonl at once, so a run that was broken
off can be continued with --resume. RESULTS.md and the drawings are written beside it, or into benches/ with --publish.
"""

import sys

from comparison.main import main

if __name__ == "__main__":
    assert __doc__
    sys.exit(main(__doc__))
