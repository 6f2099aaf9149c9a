"""A scenario: files, settings, account, market and script of one rehearsed run, all in one YAML file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from core.errors import UsageError
from core.model import CASH, Mode, Symbol
from core.money import ZERO
from core.scenario.models import MarketFile, ScenarioFile, world_of
from core.scenario.texts import Confirm, number_of, symbol_of
from core.sim.venue.world import World
from core.yaml_file import is_absent, load

PORTFOLIO_COLUMNS = ("portfolio", "symbol", "target_pct")
# with targets no model is read, but settings need a mix that sums to 1
THIRDS = {"smurf": "0.333333", "badass": "0.333333", "gltr": "0.333334"}
COMMISSION_KEY = ("rebalance", "commission_per_order_usd")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One rehearsed run, as its file describes it.

    Either `portfolios` (the text of a portfolios file, as UTF-8) or `targets` (final weights as fractions) is
    there. `settings` are texts as in settings.ini, with the account, read_only and, with targets, the mix filled in.
    """

    name: str
    path: Path
    as_of: datetime
    mode: Mode
    confirm: Confirm
    confirm_live: bool
    settings: Mapping[str, Mapping[str, str]]
    portfolios: bytes | None
    targets: Mapping[Symbol, Decimal] | None
    world: World


def read_scenario(path: Path) -> Scenario:
    """The scenario of a file. Raises UsageError with every fault, each with line and place as in `quotes.VTI.bid`.

    The venue charges per order what `settings.rebalance.commission_per_order_usd` is, nothing when the file has
    none, so that cash follows from the fills alone. Every symbol with a target is listed there, quoted or not.
    """
    loaded = load(path, UsageError)
    is_one = is_absent(loaded.texts.get("portfolios")) is not is_absent(loaded.texts.get("targets"))
    file = loaded.read(ScenarioFile, () if is_one else ["one of portfolios and targets must be there, and only one"])
    world = world_of(file, file.as_of)
    return Scenario(
        name=file.name or path.stem,
        path=path,
        as_of=world.as_of,
        mode=file.mode,
        confirm=file.confirm,
        confirm_live=file.confirm_live,
        settings=_completed(file.settings, world.account.id, has_targets=file.targets is not None),
        portfolios=_as_csv(file.portfolios) if file.portfolios is not None else None,
        targets=file.targets,
        world=replace(world, commission=_commission(file.settings), listed=_listed(file.portfolios, file.targets)),
    )


def read_market(path: Path, *, now: datetime) -> World:
    """The world of a market file: its `account` and `quotes`, its `behaviour` if any, and its `as_of`, else `now`.

    Raises UsageError with every fault.
    """
    file = load(path, UsageError).read(MarketFile)
    return world_of(file, file.as_of or now)


def scenario_schema() -> dict[str, object]:
    """The JSON schema of a scenario file, for editors that check YAML."""
    return ScenarioFile.model_json_schema()


def _completed(
    settings: Mapping[str, Mapping[str, str]], account_id: str, *, has_targets: bool
) -> dict[str, dict[str, str]]:
    completed = {section: dict(values) for section, values in settings.items()}
    completed["ibkr"] = {"account_id": account_id, "read_only": "false"} | completed.get("ibkr", {})
    if has_targets and "models" not in completed:
        completed["models"] = dict(THIRDS)
    return completed


def _commission(settings: Mapping[str, Mapping[str, str]]) -> Decimal:
    section, key = COMMISSION_KEY
    text = settings.get(section, {}).get(key, "0")
    try:
        found = number_of(text)
    except ValueError:
        return ZERO  # a text that is no number is reported with the other faults of the settings
    return found if found is not None and found >= 0 else ZERO


def _as_csv(rows: list[dict[str, str]]) -> bytes:
    # a misspelt column goes through to the reader of portfolios, which reports it
    others = {key: None for row in rows for key in row if key not in PORTFOLIO_COLUMNS}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*PORTFOLIO_COLUMNS, *others], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _listed(portfolios: list[dict[str, str]] | None, targets: Mapping[Symbol, Decimal] | None) -> frozenset[Symbol]:
    in_rows = {symbol_of(row.get("symbol", "")) for row in portfolios or []}
    return frozenset((in_rows | set(targets or {})) - {CASH, Symbol("")})
