"""`rebalance check` and `rebalance plan`: a look at the files, or at the plan, without Prefect and without gates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

from rich.table import Table

from core.broker.port import Broker
from core.execution.reader import Reader
from core.model import (
    AccountSnapshot,
    Contract,
    Mode,
    ModelName,
    ModelWeight,
    Plan,
    Quote,
    Symbol,
    Targets,
)
from core.model.refs import run_id_of
from core.money import HUNDRED
from core.planning import MarketReader, observe
from core.report import plan_json, plan_warnings
from core.safety import check_clock, check_gateway, check_mode
from core.settings import Settings
from deployments import terminal
from tasks.app.brokers import make_broker
from tasks.app.planner import plan_from
from tasks.app.request import Request


def show_blend(request: Request, *, as_json: bool) -> None:
    """Validate both files and print the blended targets. Raises SettingsInvalid and PortfoliosInvalid."""
    source = request.files()
    settings = source.settings()
    rows = source.rows(settings, datetime.now(UTC))
    targets = source.targets(settings, rows)
    if as_json:
        weights = {symbol: float(weight) for symbol, weight in targets.weights.items()}
        document = {"targets": weights, "gross": float(targets.gross), "net": float(targets.net)}
        print(json.dumps(document, indent=2))  # noqa: T201 - the document that --json promises
    else:
        models = {model: part for model, part in settings.models.items() if part}
        terminal.console().print(_blend_table(rows, models, targets))
    terminal.show_warnings(settings.warnings)


def show_plan(request: Request, *, as_json: bool) -> None:
    """Read the account, plan, and print the plan. Raises what reading and planning raise."""
    source = request.files()
    settings = source.settings()
    check_mode(settings, request.mode, confirm_live=False, broker=request.broker)
    targets = source.targets(settings, source.rows(settings, datetime.now(UTC)))
    plan = asyncio.run(_plan(settings, targets, make_broker(request, settings)))
    if as_json:
        print(plan_json(plan), end="")  # noqa: T201 - the document that --json promises
        terminal.show_warnings(settings.warnings)
        return
    terminal.show_plan(plan, terminal.console())
    terminal.show_warnings((*settings.warnings, *plan_warnings(plan)))


async def _plan(settings: Settings, targets: Targets, broker: Broker) -> Plan:
    run_id = run_id_of(str(uuid4()))
    reader = Reader(broker, settings.ibkr.read_attempts, on_retry=lambda text: terminal.show_warnings((text,)))
    await reader.connect()
    try:
        check_gateway(settings, Mode.DRY_RUN, port=broker.port, managed=await reader.accounts())
        warning = check_clock(Mode.DRY_RUN, broker.clock_gap)
        terminal.show_warnings((warning,) if warning else ())
        inputs = await observe(_market_reader(reader, settings, targets), run_id, Mode.DRY_RUN, targets, settings)
    finally:
        await broker.disconnect()
    return plan_from(inputs, settings)


def _market_reader(reader: Reader, settings: Settings, targets: Targets) -> MarketReader:
    """A MarketReader that shows its warnings at once."""

    async def snapshot() -> AccountSnapshot:
        taken = await reader.take_snapshot()
        terminal.show_warnings((*taken.warnings, *taken.left_alone))
        return taken

    async def quotes(contracts: Mapping[Symbol, Contract]) -> Mapping[Symbol, Quote]:
        taken = await reader.take_quotes(tuple(contracts.values()), settings, refuse_not_live=False)
        terminal.show_warnings(taken.warnings)
        return taken.quotes

    return MarketReader(snapshot, lambda taken: reader.resolve_universe(targets, taken, settings), quotes, reader.now)


def _blend_table(rows: Sequence[ModelWeight], mix: Mapping[ModelName, Decimal], targets: Targets) -> Table:
    """What each model wants of a symbol, and what the mix of them wants, in percent."""
    wanted = {(row.model, row.symbol): row.weight for row in rows}
    table = Table(title="Blended targets, %", title_justify="left", title_style="bold")
    table.add_column("symbol")
    for name in (*mix, "blend"):
        table.add_column(name, justify="right")
    table.add_row("mix", *map(_percent, mix.values()), "", end_section=True)
    for symbol, weight in targets.weights.items():
        table.add_row(symbol, *(_percent(wanted.get((model, symbol))) for model in mix), _percent(weight))
    table.add_section()
    for name, exposure in (("gross", targets.gross), ("cash", targets.cash), ("net", targets.net)):
        table.add_row(name, *("" for _ in mix), _percent(exposure))
    return table


def _percent(weight: Decimal | None) -> str:
    return "" if weight is None else f"{weight * HUNDRED:.4f}"
