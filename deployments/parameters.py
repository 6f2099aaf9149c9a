"""Options that several commands take, each declared once, and the headings under which help shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.model.types import BrokerKind

FILES, MODE, ASKING = "Files", "Mode, one of them", "Approval"
ACCOUNT, CHANGES, OUTPUT = "Account and broker", "Settings of this run", "Output"
DEFAULTS = "Defaults of the deployments"
FIRST, RUNS, SWITCH, REHEARSALS = "First steps", "Rebalancing", "Kill switch", "Rehearsals"
SERVER = "The page and schedules"

Csv = Annotated[Path, typer.Option("--csv", help="portfolios.csv: the models", rich_help_panel=FILES)]
Ini = Annotated[Path, typer.Option("--ini", envvar="REBALANCER_SETTINGS", help="settings.ini", rich_help_panel=FILES)]
GatewayIni = Annotated[
    Path | None,
    typer.Option(
        "--ini",
        envvar="REBALANCER_SETTINGS",
        help="settings by which the gateway is reached (default: 127.0.0.1:4002)",
        rich_help_panel=FILES,
    ),
]
Account = Annotated[
    str | None,
    typer.Option("--account", metavar="ID", help="instead of [ibkr] account_id", rich_help_panel=ACCOUNT),
]
Broker = Annotated[
    BrokerKind,
    typer.Option(
        "--broker",
        help="the real gateway, a simulated one of this process, or a market in memory",
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
Json = Annotated[bool, typer.Option("--json", help="print one JSON document", rich_help_panel=OUTPUT)]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="run id, flow-run id, or the unique beginning of either")]
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
