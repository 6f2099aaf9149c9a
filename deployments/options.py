"""The options that several commands take, each declared once with its heading in the help, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import UsageError
from core.model.types import BrokerKind, Mode

FILES, MODE, ASKING = "Files", "Mode, one of them", "Approval"
ACCOUNT, CHANGES, OUTPUT = "Account and broker", "Settings of this run", "Output"
DEFAULTS = "Defaults of the deployments"
FIRST, RUNS, SWITCH, REHEARSALS = "First steps", "Rebalancing", "Kill switch", "Rehearsals"
SERVER = "The page and schedules"

Csv = Annotated[
    Path | None, typer.Option("--csv", help="portfolios.csv: the models  [required]", rich_help_panel=FILES)
]
RunIni = Annotated[
    Path | None,
    typer.Option("--ini", envvar="REBALANCER_SETTINGS", help="settings.ini  [required]", rich_help_panel=FILES),
]
Ini = Annotated[Path, typer.Option("--ini", envvar="REBALANCER_SETTINGS", help="settings.ini", rich_help_panel=FILES)]
CheckedCsv = Annotated[Path | None, typer.Option("--csv", help="portfolios.csv: the models", rich_help_panel=FILES)]
CheckedIni = Annotated[
    Path | None,
    typer.Option("--ini", envvar="REBALANCER_SETTINGS", help="settings.ini", rich_help_panel=FILES),
]
CheckedHousehold = Annotated[
    Path | None,
    typer.Option(
        "--household",
        metavar="FILE",
        help="accounts.yaml, which names the files of all its accounts",
        rich_help_panel=FILES,
    ),
]
GatewayIni = Annotated[
    Path | None,
    typer.Option(
        "--ini",
        envvar="REBALANCER_SETTINGS",
        help="settings of the gateway connection (default: 127.0.0.1:4002)",
        rich_help_panel=FILES,
    ),
]
JournalIni = Annotated[
    Path | None,
    typer.Option(
        "--ini",
        envvar="REBALANCER_SETTINGS",
        help="settings.ini, which names the journal (default: that of this user)",
        rich_help_panel=FILES,
    ),
]
Account = Annotated[
    str | None,
    typer.Option("--account", metavar="ID", help="used instead of [ibkr] account_id", rich_help_panel=ACCOUNT),
]
Broker = Annotated[
    BrokerKind,
    typer.Option(
        "--broker",
        help="the real gateway, a simulated one in this process, or a market in memory",
        rich_help_panel=ACCOUNT,
    ),
]
Market = Annotated[
    Path | None,
    typer.Option("--market", help="account and quotes for report-only and rehearsals", rich_help_panel=ACCOUNT),
]
BandBps = Annotated[
    str | None,
    typer.Option(
        "--per-holding-band-bps", metavar="N", help="[rebalance] per_holding_band_bps", rich_help_panel=CHANGES
    ),
]
MinOrder = Annotated[
    str | None,
    typer.Option("--min-order-usd", metavar="N", help="[rebalance] min_order_usd", rich_help_panel=CHANGES),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="any setting, repeatable", rich_help_panel=CHANGES),
]
AccountsFile = Annotated[
    Path, typer.Argument(metavar="ACCOUNTS_YAML", help="the accounts, with the files that they name")
]
DefaultCsv = Annotated[
    Path | None, typer.Option("--csv", help="portfolios.csv of runs that name none", rich_help_panel=DEFAULTS)
]
DefaultIni = Annotated[
    Path | None,
    typer.Option(
        "--ini", envvar="REBALANCER_SETTINGS", help="settings.ini of runs that name none", rich_help_panel=DEFAULTS
    ),
]
DefaultBroker = Annotated[
    BrokerKind | None,
    typer.Option("--broker", help="broker of runs that name none (at first: ibkr)", rich_help_panel=DEFAULTS),
]
DefaultMarket = Annotated[
    Path | None,
    typer.Option("--market", help="account and quotes of rehearsals that name none", rich_help_panel=DEFAULTS),
]
DefaultAccounts = Annotated[
    Path | None,
    typer.Option("--accounts", help="accounts.yaml of household runs that name none", rich_help_panel=DEFAULTS),
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document", rich_help_panel=OUTPUT)]
OfRehearsals = Annotated[
    bool,
    typer.Option("--rehearsals", help="of simulated brokers, which are kept apart", rich_help_panel=OUTPUT),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="run id, flow-run id, or the unique beginning of either")]
ReportOnly = Annotated[
    bool, typer.Option("--report-only", help="plan from --market alone; no broker", rich_help_panel=MODE)
]
InProcess = Annotated[
    bool,
    typer.Option("--in-process", help="no orders: all accounts in one process; needs PostgreSQL", rich_help_panel=MODE),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="read the account, send nothing (the default)", rich_help_panel=MODE)
]
Paper = Annotated[bool, typer.Option("--paper", help="trade a paper account", rich_help_panel=MODE)]
ApproverName = Annotated[str | None, typer.Option("--approver", metavar="NAME", help="your name (default: your login)")]
Note = Annotated[str, typer.Option("--note", help="kept with the decision")]

RUN_EXAMPLES = """\b
Examples:
  rebalance run --csv portfolios.csv --ini settings.ini
      what would be traded; nothing is sent
  rebalance run --csv portfolios.csv --ini settings.ini --paper
      ask in this terminal, then trade the paper account
  rebalance run --csv portfolios.csv --ini settings.ini --paper --yes --broker simulated
      rehearse it all without a gateway
  rebalance run --csv portfolios.csv --ini settings.ini --live --confirm-live --pause
      trade real money, approved on the Prefect page
"""


def _show_household_schema(wanted: bool) -> None:  # noqa: FBT001 - typer hands it over that way
    if wanted:
        from core.household import household_schema

        typer.echo(json.dumps(household_schema(), indent=2))
        raise typer.Exit


def _show_schema(wanted: bool) -> None:  # noqa: FBT001 - typer hands it over that way
    if wanted:
        from core.scenario import scenario_schema

        typer.echo(json.dumps(scenario_schema(), indent=2))
        raise typer.Exit


HouseholdSchema = Annotated[
    bool,
    typer.Option(
        "--schema",
        callback=_show_household_schema,
        is_eager=True,
        help="Print the JSON schema of accounts.yaml and exit.",
    ),
]
ScenarioSchema = Annotated[
    bool,
    typer.Option(
        "--schema", callback=_show_schema, is_eager=True, help="Print the JSON schema of a scenario file and exit."
    ),
]


class ScenarioBroker(StrEnum):
    """The broker of a scenario: in memory, or (`gateway`) the real client over a socket to a simulated gateway."""

    FAKE = "fake"
    GATEWAY = "gateway"

    @property
    def kind(self) -> BrokerKind:
        return BrokerKind.FAKE if self is ScenarioBroker.FAKE else BrokerKind.SIMULATED


def one_mode(chosen: Mapping[Mode, bool]) -> Mode:
    """The one mode that was chosen; dry run without any. Raises UsageError for more than one."""
    modes = [mode for mode, is_chosen in chosen.items() if is_chosen]
    if len(modes) > 1:
        raise UsageError(
            f"--{' and --'.join(mode.replace('_', '-') for mode in modes)} cannot be combined",
            next_step="choose one mode",
        )
    return modes[0] if modes else Mode.DRY_RUN


def overrides(
    sets: Sequence[str] | None, per_holding_band_bps: str | None = None, min_order_usd: str | None = None
) -> dict[str, str]:
    """Settings of this run, by "section.key". Raises UsageError for a --set without `section.key=`."""
    values = {}
    for text in sets or ():
        name, equals, value = text.partition("=")
        if not equals or name.count(".") != 1:
            raise UsageError(f"--set {text} cannot be read", next_step="write --set section.key=value")
        values[name.strip()] = value.strip()
    own = {"rebalance.per_holding_band_bps": per_holding_band_bps, "rebalance.min_order_usd": min_order_usd}
    return values | {name: value for name, value in own.items() if value is not None}


def both(csv: Path | None, ini: Path | None) -> tuple[Path, Path]:
    """The files of a run. Raises UsageError naming each that is missing: Typer would name the first alone."""
    if csv is None or ini is None:
        raise UsageError(_absent({"--csv": csv, "--ini": ini}), next_step="name both files")
    return csv, ini


def missing_files(given: Mapping[str, Path | None]) -> UsageError:
    """The error that names the files that are not given, by their option."""
    return UsageError(_absent(given), next_step="name both files, or with --household an accounts.yaml")


def _absent(given: Mapping[str, Path | None]) -> str:
    return f"{' and '.join(option for option, path in given.items() if path is None)} not given"


def refuse_beside_household(context: typer.Context) -> None:
    """Raise UsageError where --csv or --ini was typed too; an --ini of the environment is for other commands."""
    sources = {f"--{name}": context.get_parameter_source(name) for name in ("csv", "ini")}
    typed = " and ".join(option for option, source in sources.items() if source and source.name == "COMMANDLINE")
    if typed:
        raise UsageError(
            f"--household cannot be combined with {typed}", next_step="leave that out: accounts.yaml names the files"
        )


@dataclass(frozen=True, slots=True)
class Defaults:
    """Default parameters of the deployments, for runs that name none; None leaves a default as it was."""

    csv: Path | None = None
    ini: Path | None = None
    broker: BrokerKind | None = None
    market: Path | None = None
    accounts: Path | None = None

    def parameters(self) -> dict[str, Any]:
        """Those that are given, as JSON has them; files are absolute, as a run's process has a folder of its own.

        Raises UsageError for a file that is not there.
        """
        given = {"csv": self.csv, "ini": self.ini, "market": self.market, "accounts": self.accounts}
        files = {name: _existing(path) for name, path in given.items() if path is not None}
        return files if self.broker is None else {**files, "broker": self.broker.value}


def _existing(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"{path} does not exist, or is not a file", next_step="name a file that the runs can read")
    return str(path.absolute())
