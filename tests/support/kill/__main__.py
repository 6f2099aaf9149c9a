"""`python -m kill`: play cases, print what is wrong with each and then the table; ends 1 where a rule is broken."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from postgres import postgresql_server

from kill.campaign import Table, folder_for_cases, play_all
from kill.cases import crash_cases, every_case, other_cases, random_cases, sample
from kill.databases import Databases, PostgresDatabases, SqliteFiles
from kill.mutations import MUTATIONS


def main() -> int:
    """Play the cases that the command line asks for; 1 where one failed or broke a rule."""
    options = _options()
    if options.mutations:
        return _play_mutations()
    table = Table()
    cases = [
        *sample(every_case(), options.cases),
        *sample(other_cases(), options.others),
        *random_cases(options.random),
    ]
    with ExitStack() as held:
        if options.without:
            held.enter_context(MUTATIONS[options.without].leave_out())
        folder = held.enter_context(folder_for_cases(options.keep))
        databases: Databases = SqliteFiles(folder)
        if options.postgresql:
            databases = PostgresDatabases(held.enter_context(postgresql_server()))
            cases += sample(crash_cases(), options.crashes)
        chosen = [case for case in cases if options.only in case.name]
        for text in play_all(chosen, folder, databases, table):
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
    sys.stdout.write("\n".join(["", *table.lines(), ""]))
    return 1 if table.violations else 0


def _play_mutations() -> int:
    """Leave out each safeguard in a case that needs it; 1 unless each then breaks the rule that it is there for."""
    cases = {case.name: case for case in (*every_case(), *other_cases())}
    unnoticed = 0
    for name, mutation in MUTATIONS.items():
        with folder_for_cases(None) as folder, mutation.leave_out():
            found = list(play_all([cases[mutation.case]], folder, SqliteFiles(folder), Table()))
        is_noticed = any(f": ({mutation.rule}) " in text for text in found)
        unnoticed += not is_noticed
        sys.stdout.write(f"without {name}: {'noticed' if is_noticed else 'NOT NOTICED'} {found}\n")
    return 1 if unnoticed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kill")
    parser.add_argument("--cases", type=int, default=24, help="how many of the 756")
    parser.add_argument("--others", type=int, default=24, help="how many of the other cases")
    parser.add_argument("--random", type=int, default=24, help="how many random kills")
    parser.add_argument("--only", default="", help="only cases with this in their name, as `K4 BUY`")
    parser.add_argument("--keep", type=Path, help="an empty folder for the logs and journals of cases that fail")
    parser.add_argument("--postgresql", action="store_true", help="journals on a server of PostgreSQL")
    parser.add_argument("--crashes", type=int, default=2, help="how many cases in which that server crashes")
    parser.add_argument("--mutations", action="store_true", help="only leave out each safeguard, and see it noticed")
    parser.add_argument("--without", choices=MUTATIONS, help="leave out what must not be left out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
