"""`python -m kill`: play cases, print what is wrong with each and then the table; ends 1 where a rule is broken."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from kill.campaign import Table, folder_for_cases, play_all
from kill.cases import every_case, random_cases, sample
from kill.mutations import MUTATIONS


def main() -> int:
    """Play the cases that the command line asks for; 1 where one failed or broke a rule."""
    options = _options()
    table = Table()
    cases = [*sample(every_case(), options.cases), *random_cases(options.random)]
    with ExitStack() as held:
        if options.without:
            held.enter_context(MUTATIONS[options.without]())
        folder = held.enter_context(folder_for_cases(options.keep))
        for text in play_all([case for case in cases if options.only in case.name], folder, table):
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
    sys.stdout.write("\n".join(["", *table.lines(), ""]))
    return 1 if table.violations else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kill")
    parser.add_argument("--cases", type=int, default=24, help="how many of the 756")
    parser.add_argument("--random", type=int, default=24, help="how many random kills")
    parser.add_argument("--only", default="", help="only cases with this in their name, as `K4 BUY`")
    parser.add_argument("--keep", type=Path, help="an empty folder for the logs and journals of cases that fail")
    parser.add_argument("--without", choices=MUTATIONS, help="leave out what must not be left out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
