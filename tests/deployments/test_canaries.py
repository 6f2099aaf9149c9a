"""No secret, and no whole account id, gets anywhere but where it has to be.

Each is planted as a text that nothing else contains. A run goes the whole way over real processes: server, executor,
gateway, journal on PostgreSQL, a question that is answered with one-time codes, a webhook, and then failures of each.
What all that has written is searched: what was printed, logs, both databases, reports, command lines, notifications.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from authenticator import Authenticator
from lasting import BIN, DEMO, Lasting, lasting, until
from postgres import postgresql
from programs import free_port, needs
from receiver import Receiver, receiving

from core.masking import mask_account
from core.model.refs import run_id_of

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900), needs("postgresql")]

FILES = ("--csv", "portfolios.csv", "--ini", "settings.ini")
ACCOUNT = "DU7719083"
SERVER_PASSWORD, JOURNAL_PASSWORD, WEBHOOK = "canary-k3vq8-server", "canary-w7xz2-journal", "canary-m5rt9-webhook"


@dataclass
class Searched:
    """What is searched, by where it was found; `canaries` by what they are."""

    canaries: dict[str, str]
    texts: dict[str, bytes] = field(default_factory=dict)

    def add(self, where: str, text: str | bytes) -> None:
        self.texts[where] = text.encode() if isinstance(text, str) else text

    def found(self, allowed: Mapping[str, str]) -> list[str]:
        """Each place where a canary is, unless the pattern that is `allowed` for it matches the place."""
        forms = {what: (text.encode(), base64.b64encode(text.encode())) for what, text in self.canaries.items()}
        return [
            f"{what} in {where}"
            for where, text in self.texts.items()
            for what, written in forms.items()
            if any(form in text for form in written) and not re.fullmatch(allowed.get(what, ""), where)
        ]


@dataclass
class Rig:
    own: Lasting
    webhook: Receiver
    ann: Authenticator
    searched: Searched

    def rebalance(self, *arguments: str, code: int | None = 0, typed: str = "") -> str:
        """The command; what it prints is searched."""
        done = self.own.rebalance(*arguments, code=code, typed=typed)
        self.searched.add(f"printed by {' '.join(arguments)}", done.stdout + done.stderr)
        return done.stdout

    def look_at_command_lines(self) -> None:
        for process in self.own.processes():
            self.searched.add(f"command line {process.pid}", " ".join(process.cmdline()))


@contextmanager
def rigged(folder: Path, journal: str) -> Iterator[Rig]:
    """A server, an executor and a gateway, not yet up, whose secrets are canaries."""
    with lasting(folder) as own, receiving() as webhook:
        for name in ("settings.ini", "market.yaml"):
            text = (DEMO / name).read_text().replace("DU1234567", ACCOUNT)
            (own.folder / name).write_text(text)
        ann, port = Authenticator("ANN"), str(free_port())
        own.environment |= {
            "PREFECT_SERVER_API_AUTH_STRING": f"rebalance:{SERVER_PASSWORD}",
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "PREFECT_SERVER_LOGGING_LEVEL": "DEBUG",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "DEBUG",
            "REBALANCER__IO__LOG_LEVEL": "DEBUG",
            "REBALANCER__IBKR__PORT": port,
            "REBALANCER__JOURNAL__URL": f"postgresql://postgres:{JOURNAL_PASSWORD}@{journal}/postgres",
            "REBALANCER__NOTIFY__WEBHOOK_URL": webhook.url.replace("SECRET", WEBHOOK),
            "REBALANCER__APPROVAL__APPROVERS": "ANN, BOB",
            ann.variable: ann.secret,
        }
        searched = Searched(
            {
                "the server's password": SERVER_PASSWORD,
                "the journal's password": JOURNAL_PASSWORD,
                "the webhook": WEBHOOK,
                "Ann's secret": ann.secret,
                "the account": ACCOUNT,
            }
        )
        gateway = (str(BIN / "rebalance"), "gateway", "--port", port, "--market", "market.yaml")
        with own.beside(*gateway, environment=own.environment):
            until((own.folder / "rebalance.log").read_text)
            yield Rig(own, webhook, ann, searched)


async def dumped(address: str) -> dict[str, str]:
    """The rows of each table of the journal."""
    connection = await asyncpg.connect(f"postgresql://{address}/postgres")
    try:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {
            each["tablename"]: repr(await connection.fetch(f'select * from "{each["tablename"]}"'))  # noqa: S608
            for each in tables
        }
    finally:
        await connection.close()


def answered(rig: Rig) -> None:
    """One run that Bob rejects and one that Ann approves, after a wrong code each, and what commands tell of them."""
    rig.rebalance("up", "--port", str(rig.own.port), *FILES)
    # the one place that is to show it, so that this is not searched
    shown = rig.own.rebalance("approver", "add", "BOB", "--save").stdout
    bob = Authenticator("BOB", re.search(r"type its secret: (\S+)", shown)[1])
    rig.searched.canaries["Bob's secret"] = bob.secret
    suffix = ("--account-suffix", ACCOUNT[-3:])
    for who, command, ended in ((bob, ("reject",), "Rejected"), (rig.ann, ("approve", *suffix), "Completed")):
        flow_run = rig.own.start("rebalance/on-demand", mode="paper")
        run, name = run_id_of(str(flow_run)), ("--approver", who.name)
        rig.own.waiting(flow_run)
        rig.look_at_command_lines()
        rig.rebalance(command[0], run, *command[1:], *name, typed=who.wrong, code=2)
        rig.own.waiting(flow_run)
        # of the next step: good for a minute, on a machine that is busy
        rig.rebalance(command[0], run, *command[1:], *name, typed=who.code(1))
        assert rig.own.ended(flow_run).name == ended
    assert '"how": "form and one-time code"' in (rig.own.folder / "reports" / run / "result.json").read_text()
    for words in (("status", "--json"), *((each, "--ini", "settings.ini") for each in ("history", "doctor"))):
        rig.rebalance(*words, code=None)


def failed(rig: Rig) -> None:
    """Runs whose journal, webhook, server and settings fail, each in its own words."""
    nobody = free_port()
    rig.own.environment |= {
        "REBALANCER__JOURNAL__URL": f"postgresql://postgres:{JOURNAL_PASSWORD}@127.0.0.1:{nobody}/postgres",
        "REBALANCER__NOTIFY__WEBHOOK_URL": f"http://127.0.0.1:{nobody}/{WEBHOOK}",
    }
    rig.rebalance("run", *FILES, "--paper", "--pause", code=50)
    rig.own.environment["REBALANCER__NOTIFY__WEBHOOK_URL"] = f"ftp://{WEBHOOK}"
    rig.own.environment["REBALANCER__JOURNAL__URL"] = f"mysql://ann:{JOURNAL_PASSWORD}@db/journal"
    rig.rebalance("run", *FILES, "--paper", "--pause", code=10)
    rig.rebalance("down")
    rig.own.environment["PREFECT_CLIENT_MAX_RETRIES"] = "0"
    rig.own.environment["PREFECT_API_URL"] = f"http://rebalance:{SERVER_PASSWORD}@127.0.0.1:{nobody}/api"
    rig.rebalance("approve", "ABC", code=20)


def read_everything(rig: Rig) -> None:
    """Add every file, and the tables of the server's database by name, so that what is found can be told apart."""
    for path in sorted(rig.own.folder.parent.rglob("*")):
        if path.is_file():
            rig.searched.add(f"file {path.relative_to(rig.own.folder.parent)}", path.read_bytes())
    (database,) = rig.own.home.rglob("prefect.db")
    with closing(sqlite3.connect(database)) as connection:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            for number, row in enumerate(connection.execute(f'select * from "{table}"')):  # noqa: S608
                rig.searched.add(f"{table} {number}", repr(row))
    rig.searched.add("the webhook's receiver", repr(rig.webhook.bodies))


def test_nothing_that_is_to_stay_secret_is_written_anywhere_else(tmp_path):
    with postgresql() as user_at, rigged(tmp_path, user_at.partition("@")[2]) as rig:
        answered(rig)
        for table, rows in asyncio.run(dumped(user_at)).items():
            rig.searched.add(f"journal {table}", rows)
        failed(rig)
        read_everything(rig)
    allowed = {
        "the server's password": r"file home/password",
        "the account": r"file files/(settings\.ini|market\.yaml)|journal (entries|holders)",
    }
    assert rig.searched.found(allowed) == []
    # what is to be found is: else the search would be for nothing
    found = rig.searched.found({})
    assert {"the account in journal entries", "the server's password in file home/password"} <= {*found}
    assert mask_account(ACCOUNT) in rig.searched.texts["printed by history --ini settings.ini"].decode()
    inputs = b"".join(text for where, text in rig.searched.texts.items() if where.startswith("flow_run_input "))
    assert b"ANN" in inputs
    assert b"BOB" in inputs
    assert len(rig.webhook.bodies) >= 4
