"""A scenario: files, settings, account, market and script of one rehearsed run, all in one YAML file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from core.model import CASH, Mode, Symbol
from core.money import ZERO
from core.scenario.nodes import NO, YES, Node, open_file, refused
from core.scenario.worlds import read_world, symbol_of
from core.sim.venue.world import World

PORTFOLIO_COLUMNS = ("portfolio", "symbol", "target_pct")
THIRDS = {"smurf": "0.333333", "badass": "0.333333", "gltr": "0.333334"}
YEARS = range(1970, 2200)
COMMISSION_KEY = ("rebalance", "commission_per_order_usd")


class Confirm(StrEnum):
    """What the scripted approver does: approves, rejects, or says nothing until the time-out."""

    YES = "yes"
    NO = "no"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a file of one rehearsed run says.

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
    """The scenario of a file. Raises UsageError with every fault, each with its place as in `quotes.VTI.bid`.

    The venue charges per order what `settings.rebalance.commission_per_order_usd` says, nothing when the file is
    silent, so that cash follows from the fills alone. Every symbol with a target is listed there, quoted or not.
    """
    root = open_file(path)
    fields = root.fields(
        "name", "as_of", "mode", "confirm", "confirm_live", "settings", "portfolios", "targets",
        "account", "quotes", "behaviour",
    )  # fmt: skip
    portfolios, targets = _portfolios(fields["portfolios"]), _targets(fields["targets"])
    if fields["portfolios"].is_absent == fields["targets"].is_absent:
        root.fault("one of portfolios and targets must be there, and only one")
    world = read_world(_moment(fields["as_of"]), fields)
    settings = _settings(fields["settings"])
    scenario = Scenario(
        name=fields["name"].text(path.stem),
        path=path,
        as_of=world.as_of,
        mode=fields["mode"].choice(Mode, Mode.DRY_RUN),
        confirm=_confirm(fields["confirm"]),
        confirm_live=fields["confirm_live"].flag(),
        settings=_completed(settings, world.account.id, has_targets=targets is not None),
        portfolios=_as_csv(portfolios) if portfolios is not None else None,
        targets=targets,
        world=replace(world, commission=_commission(settings), listed=_listed(portfolios, targets)),
    )
    _raise_faults(path, root)
    return scenario


def read_market(path: Path, *, now: datetime) -> World:
    """The world of a market file: `account` and `quotes`, with `behaviour` and `as_of` (else `now`) if it has them.

    Raises UsageError with every fault.
    """
    root = open_file(path)
    fields = root.fields("as_of", "account", "quotes", "behaviour")
    as_of = now if fields["as_of"].is_absent else _moment(fields["as_of"])
    world = read_world(as_of, fields)
    _raise_faults(path, root)
    return world


def _raise_faults(path: Path, root: Node) -> None:
    if root.faults:
        raise refused(path, root.faults)


def _moment(node: Node) -> datetime:
    text = node.text()
    nowhere = datetime(2000, 1, 3, 15, tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        if text:
            node.fault(f"{text[:40]!r} is not a time such as 2026-03-02T15:30:00-05:00")
        return nowhere
    if moment.tzinfo is None:
        node.fault(f"{text} has no offset from UTC, as in 2026-03-02T15:30:00-05:00")
    elif moment.year not in YEARS:
        node.fault(f"the year must be {YEARS.start} to {YEARS.stop - 1}")
    else:
        return moment.astimezone(UTC)
    return nowhere


def _confirm(node: Node) -> Confirm:
    text = node.text("no").lower()
    if text in YES | NO:
        return Confirm.YES if text in YES else Confirm.NO
    return node.choice(Confirm, Confirm.NO)


def _settings(node: Node) -> dict[str, dict[str, str]]:
    return {section: _section(values) for section, values in node.entries()}


def _section(node: Node) -> dict[str, str]:
    """Keys without a value are left to their default; a list becomes text with commas."""
    return {
        key: ", ".join(item.name() for item in value.items()) if isinstance(value.value, list) else value.text("")
        for key, value in node.entries()
        if not value.is_absent
    }


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
    # what is not a number here is the settings' fault to tell, with all of theirs
    found = Node(text, "", []).number()
    return found if found is not None and found >= 0 else ZERO


def _portfolios(node: Node) -> list[dict[str, str]] | None:
    """The rows as they stand: what is wrong in them is for the reader of portfolios to say."""
    if node.is_absent:
        return None
    return [{key: value.word() for key, value in row.entries()} for row in node.items()]


def _as_csv(rows: list[dict[str, str]]) -> bytes:
    others = {key: None for row in rows for key in row if key not in PORTFOLIO_COLUMNS}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*PORTFOLIO_COLUMNS, *others], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _targets(node: Node) -> dict[Symbol, Decimal] | None:
    if node.is_absent:
        return None
    targets: dict[Symbol, Decimal] = {}
    for key, value in node.entries():
        if symbol_of(key) in targets:
            value.fault("appears here twice")
        targets[symbol_of(key)] = value.needed()
    return targets


def _listed(portfolios: list[dict[str, str]] | None, targets: Mapping[Symbol, Decimal] | None) -> frozenset[Symbol]:
    in_rows = {symbol_of(row.get("symbol", "")) for row in portfolios or []}
    return frozenset((in_rows | set(targets or {})) - {CASH, Symbol("")})
