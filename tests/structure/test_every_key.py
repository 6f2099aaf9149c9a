"""Every key of settings.ini changes something that can be seen: each has a probe here, and a new one without fails.

A probe looks at the same thing under two settings that differ in that key alone. What is looked at is a plan, the
whole of a rehearsed run, a rule that refuses, or what is handed to the gateway's client or the executor, whose own
tests say what it does with that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from builders import NOW
from flow_runs import TARGETS, Rehearsal, SaysYes
from input_builders import HEADER
from planning_builders import account as planned_account
from planning_builders import at, case, etf, held, share
from worlds import ACCOUNT, VTI, account, earlier, fake, quoted
from worlds import held as owned

from core.errors import RebalanceError, SettingsInvalid
from core.execution.reader import Reader
from core.model import CAD, CASH, USD, USD_CAD, AccountSnapshot, BrokerKind, Mode, Plan, Symbol, Targets
from core.money import D
from core.planning import make_plan
from core.report import plan_json
from core.safety import check_gateway, check_mode
from core.settings import Settings
from core.settings.describe import OPEN_SECTIONS, keys
from core.settings.layers import environment_name
from core.settings.loading import settings_from
from core.sim.venue.world import Change, Fault, FaultKind, Point
from core.targets import targets_from_weights
from tasks.app.brokers import client_options
from tasks.app.journals import open_journal
from tasks.app.sources import FileSource

Texts = Mapping[str, Mapping[str, str]]
Look = Callable[[Settings, Path], object]


@dataclass(frozen=True)
class Probe:
    """`changed` is the key's other text; `base` are settings under which the key matters."""

    look: Look
    changed: str
    base: Texts = field(default_factory=dict)


def or_refused(call: Callable[[], object]) -> object:
    """What the call gives, or the text of the refusal that it raises."""
    try:
        return call()
    except RebalanceError as error:
        return str(error)


# --- what is looked at ----------------------------------------------------------------------------

NAMES = ("A", "B", "C", "OLD", "USD.CAD")
WEIGHTS = {"A": "0.5", "B": "0.3", "C": "0.2"}


RICH = planned_account(
    held("A", "350", "101"),
    held("B", "350", "100"),
    held("OLD", "30", "100"),
    share("MSFT", "5", "100"),
    cash={USD: "12000", CAD: "40000"},
)


def planning(weights: Mapping[str, str], own: AccountSnapshot, **changes: object) -> Look:
    """A plan for the account: quotes with a spread, fractions taken, the currency market closed."""
    spreads = {"A": "0.02", "B": "0.01", "C": "0.08", "OLD": "0.02"}
    quotes = [at(name, "100", half) for name, half in spreads.items()]
    values = {
        "contracts": {name: etf(name, fractional=True) for name in spreads},
        "fx_closed": "the currency market is closed",
    }
    last = at("A", "100", "0.02", last=D("100.01"))
    inputs = case(weights, own, *quotes, last, at("USD.CAD", "1.25", "0.001"), **(values | changes))

    def look(settings: Settings, folder: Path) -> object:
        plan = or_refused(lambda: make_plan(inputs, settings))
        return plan_json(replace(plan, hash="")) if isinstance(plan, Plan) else plan

    return look


def blending(settings: Settings, folder: Path) -> object:
    """The blend of half-borrowed targets, or why it is refused."""
    weights = {Symbol("A"): D("1.4"), CASH: D("-0.4")}
    return or_refused(lambda: targets_from_weights(weights, settings.rebalance))


@dataclass(frozen=True)
class Fixed:
    """Settings as they are, and the rehearsal's usual targets."""

    own: Settings

    def settings(self) -> Settings:
        return self.own

    def rows(self, settings: Settings, now: datetime) -> tuple[()]:
        return ()

    def targets(self, settings: Settings, rows: object) -> Targets:
        return targets_from_weights(TARGETS, settings.rebalance)


def running(**more: object) -> Look:
    """A whole run, from settings to report: what it says, sends and writes."""

    def look(settings: Settings, folder: Path) -> object:
        rehearsal = Rehearsal(folder, **({"approver": SaysYes()} | more), source=Fixed(settings))  # type: ignore[arg-type]
        outcome = asyncio.run(rehearsal.run())
        sent = [str(entry.what) for broker in rehearsal.brokers for entry in broker.log]
        logs = [(str(path.relative_to(folder)), len(path.read_text().splitlines())) for path in folder.rglob("run.log")]
        seen = (outcome.exit_code, outcome.reason, outcome.warnings, sent, len(outcome.approvals), logs)
        return str(seen).replace(outcome.run_id, "RUN")

    return look


def running_twice(settings: Settings, folder: Path) -> object:
    """What the second of two runs of one account says."""
    rehearsal = Rehearsal(folder, approver=SaysYes(), source=Fixed(settings))
    asyncio.run(rehearsal.run())
    return asyncio.run(rehearsal.run()).no_plan_reason[:3]


def reaching(settings: Settings, folder: Path) -> object:
    """How a gateway is reached."""
    return client_options(settings, may_trade=True)


def insisting(settings: Settings, folder: Path) -> object:
    """A read at a broker that answers the second time only."""
    broker = fake(faults=(Fault("snapshot", FaultKind.PACING, 1),))
    reader = Reader(broker, settings.ibkr.read_attempts, on_retry=lambda _text: None)
    return asyncio.run(_read_or_refused(reader))


async def _read_or_refused(reader: Reader) -> str:
    try:
        return str(await reader.take_snapshot())
    except RebalanceError as error:
        return str(error)


def executing(settings: Settings, folder: Path) -> object:
    """How orders are sent and watched."""
    return (settings.execution, settings.fx)


def allowing(mode: Mode) -> Look:
    """Whether a run of this mode may begin."""

    def look(settings: Settings, folder: Path) -> object:
        check = lambda: check_mode(settings, mode, confirm_live=True, broker=BrokerKind.IBKR)  # noqa: E731
        return or_refused(check)

    return look


def managing(settings: Settings, folder: Path) -> object:
    """Whether a gateway of one account is the right one."""
    check = lambda: check_gateway(settings, Mode.DRY_RUN, port=4002, managed=(ACCOUNT,))  # noqa: E731
    return or_refused(check)


def reading(settings: Settings, folder: Path) -> object:
    """The models of a file that is 100 days old."""
    path = folder / "portfolios.csv"
    path.write_text(HEADER + "ONE,VTI,100\nTWO,BND,100\n")
    then = NOW.timestamp() - 100 * 86_400
    os.utime(path, (then, then))
    files = FileSource(path, path, {}, {})
    return or_refused(lambda: files.targets(settings, files.rows(settings, NOW)))


def recording(settings: Settings, folder: Path) -> object:
    """The file of the journal."""
    with closing(open_journal(settings)):
        return [*folder.rglob("*.sqlite")]


def notified(settings: Settings, folder: Path) -> object:
    return settings.notify.webhook_url


# --- the probes -----------------------------------------------------------------------------------

PLAN = planning(WEIGHTS, RICH)
BORROW = planning({"A": "1.5", CASH: "-0.5"}, planned_account(cash={USD: "100000"}))
OLD_QUOTES = planning(WEIGHTS, RICH, quotes={name: at(name, taken_at=NOW - timedelta(seconds=5)) for name in NAMES})
SNAPSHOTS = planning(WEIGHTS, RICH, quotes={name: at(name, is_snapshot=True) for name in NAMES})
MODELS = {"models": {"ONE": "0.5", "TWO": "0.5"}}
FX = {"fx": {"enabled": "true"}}
MARGIN = {"rebalance": {"allow_margin": "true"}}
LIVE = {"ibkr": {"account_id": "U1234567", "port": "4001"}, "safety": {"paper_only": "false"}}
CAD_ONLY = {
    "account": account(cash={CAD: D(50_000)}),
    "quotes": {
        VTI: quoted("100.00", "100.01", "100.00"),
        Symbol("BND"): quoted("72.00", "72.01", "72.00"),
        USD_CAD: quoted("1.36000", "1.36005", "1.36000"),
    },
}
BUYS_AND_SELLS = {"cash": {USD: D(20_000)}, "positions": (owned(quantity="300"),)}
FOREIGN = {"account": account(**BUYS_AND_SELLS, open_orders=(earlier(ref=""),))}
RISING = {"changes": (Change(Point.APPROVAL, {VTI: quoted("100.30", "100.31", "100.30")}),)}
NEAR_THE_CLOSE = {"as_of": NOW.replace(hour=20, minute=50)}

RUN = running()

PROBES: dict[str, Probe] = {
    "ibkr.host": Probe(reaching, "10.0.0.9"),
    "ibkr.port": Probe(reaching, "7497"),
    "ibkr.client_id": Probe(reaching, "7"),
    "ibkr.account_id": Probe(managing, "DU7654321"),
    "ibkr.read_only": Probe(allowing(Mode.PAPER), "true"),
    "ibkr.connect_timeout_seconds": Probe(reaching, "3"),
    "ibkr.request_timeout_seconds": Probe(reaching, "3"),
    "ibkr.read_attempts": Probe(insisting, "1"),
    "ibkr.max_messages_per_second": Probe(reaching, "9"),
    "ibkr.market_data_type": Probe(running(mode=Mode.DRY_RUN), "delayed"),
    "models.ONE": Probe(reading, "0.4995", MODELS),
    "rebalance.trigger_mode": Probe(PLAN, "total_drift"),
    "rebalance.per_holding_band_bps": Probe(PLAN, "9000"),
    "rebalance.portfolio_total_band_bps": Probe(PLAN, "90000", {"rebalance": {"trigger_mode": "total_drift"}}),
    "rebalance.min_order_usd": Probe(PLAN, "20000"),
    "rebalance.cash_buffer_pct": Probe(PLAN, "20"),
    "rebalance.allow_fractional": Probe(PLAN, "true"),
    "rebalance.allow_margin": Probe(blending, "true"),
    "rebalance.max_leverage": Probe(blending, "1.2", MARGIN),
    "rebalance.maintenance_buffer_pct": Probe(BORROW, "70", MARGIN),
    "rebalance.maintenance_margin_pct": Probe(BORROW, "90", MARGIN),
    "rebalance.prefer_rth": Probe(RUN, "false"),
    "rebalance.direction": Probe(PLAN, "buy_only"),
    "rebalance.untargeted": Probe(PLAN, "hold"),
    "rebalance.max_order_usd": Probe(PLAN, "700"),
    "rebalance.max_turnover_pct": Probe(PLAN, "1"),
    "rebalance.idle_cash_pct": Probe(PLAN, "0.1", {"rebalance": {"per_holding_band_bps": "9000"}}),
    "rebalance.hold_symbols": Probe(PLAN, "OLD"),
    "rebalance.cooldown_hours": Probe(running_twice, "24"),
    "rebalance.order_type": Probe(PLAN, "MKT"),
    "rebalance.commission_per_order_usd": Probe(PLAN, "90"),
    "pricing.price_source": Probe(PLAN, "midpoint"),
    "pricing.fallback_to_snapshot": Probe(SNAPSHOTS, "false"),
    "pricing.max_mark_gap_pct": Probe(PLAN, "0.5"),
    "fx.enabled": Probe(PLAN, "true"),
    "fx.convert_mode": Probe(PLAN, "always_top_up", FX),
    "fx.use_mid_for_planning": Probe(PLAN, "false", FX),
    "fx.min_fx_order_usd": Probe(PLAN, "60000", FX),
    "fx.max_fx_order_usd": Probe(PLAN, "1500", FX),
    "fx.fx_buffer_bps": Probe(PLAN, "500", FX),
    "fx.order_type": Probe(PLAN, "LMT", FX),
    "fx.limit_slippage_bps": Probe(PLAN, "50", FX),
    "fx.route": Probe(running(changes=CAD_ONLY), "FXCONV", FX),
    "fx.wait_for_fill_seconds": Probe(executing, "9"),
    "fx.prefer_market_hours": Probe(PLAN, "true", FX),
    "limits.smart_limit": Probe(PLAN, "false"),
    "limits.style": Probe(PLAN, "static_bps"),
    "limits.buy_offset_frac": Probe(PLAN, "0"),
    "limits.sell_offset_frac": Probe(PLAN, "0"),
    "limits.max_offset_bps": Probe(PLAN, "1"),
    "limits.wide_spread_bps": Probe(PLAN, "1"),
    "limits.escalate_action": Probe(PLAN, "market", {"limits": {"wide_spread_bps": "1"}}),
    "limits.stale_quote_seconds": Probe(OLD_QUOTES, "1"),
    "limits.stale_action": Probe(OLD_QUOTES, "escalate", {"limits": {"stale_quote_seconds": "1"}}),
    "limits.use_ask_bid_cap": Probe(PLAN, "false", {"limits": {"buy_offset_frac": "1"}}),
    "execution.max_open_orders": Probe(executing, "1"),
    "execution.order_timeout_seconds": Probe(executing, "9"),
    "execution.reprice_attempts": Probe(executing, "1"),
    "execution.preflight": Probe(RUN, "false"),
    "execution.close_margin_minutes": Probe(running(changes=NEAR_THE_CLOSE), "30"),
    "execution.absent_confirm_seconds": Probe(executing, "9"),
    "execution.shutdown_seconds": Probe(executing, "9"),
    "execution.foreign_orders": Probe(running(changes=FOREIGN), "ignore"),
    "execution.blackout": Probe(RUN, "00:00-23:59"),
    "symbol_overrides.VTI": Probe(RUN, "ARCA"),
    "safety.paper_only": Probe(allowing(Mode.LIVE), "true", LIVE),
    "safety.require_confirm": Probe(allowing(Mode.LIVE), "false", LIVE),
    "safety.live_without_approval": Probe(
        allowing(Mode.LIVE), "true", LIVE | {"safety": {"paper_only": "false", "require_confirm": "false"}}
    ),
    "safety.kill_switch_file": Probe(RUN, "."),
    "safety.max_net_liq_gap_pct": Probe(PLAN, "0.01"),
    "approval.each_stage": Probe(RUN, "true"),
    "approval.timeout_seconds": Probe(PLAN, "9"),
    "approval.max_price_move_bps": Probe(running(changes=RISING), "1"),
    "approval.approvers": Probe(RUN, "ANN"),
    "journal.url": Probe(recording, "sqlite:///elsewhere/own.sqlite"),
    "notify.webhook_url": Probe(notified, "https://hooks.example.com/x"),
    "io.max_csv_age_days": Probe(reading, "30", MODELS),
    "io.report_dir": Probe(RUN, "elsewhere"),
    "io.log_level": Probe(RUN, "ERROR"),
}
# each is a whole run of seconds, and other quick tests know its rule
WHOLE_RUNS = (
    "ibkr.market_data_type",
    "rebalance.prefer_rth",
    "rebalance.cooldown_hours",
    "fx.route",
    "execution.foreign_orders",
    "symbol_overrides.VTI",
    "approval.max_price_move_bps",
    "io.report_dir",
)
NOT_OF_A_RUN = ("notify.webhook_url", "approval.approvers")
ONLY_ONE_VALUE = {"fx.base_currency": "EUR", "fx.funding_currencies": "EUR"}


def made(folder: Path, base: Texts, key: str = "", text: str = "") -> Settings:
    """The least settings with `base` over them, and one key besides; a secret comes from the environment."""
    values: dict[str, dict[str, str]] = {"ibkr": {"account_id": ACCOUNT, "read_only": "false"}}
    for section, texts in ({"models": {"ONE": "1"}} | dict(base)).items():
        values[section] = values.get(section, {}) | dict(texts)
    section, _, name = key.partition(".")
    if key in NOT_OF_A_RUN:
        return settings_from(values, folder=folder, environ={environment_name(section, name): text})
    return settings_from(values, folder=folder, overrides={f"{section}.{name}": text} if key else {})


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """What a look sees under base settings; looked at once."""
    seen: dict[tuple[Look, str], object] = {}

    def look(probe: Probe) -> object:
        known = probe.look, repr(probe.base)
        if known not in seen:
            folder = tmp_path_factory.mktemp("usual")
            seen[known] = probe.look(made(folder, probe.base), folder)
        return seen[known]

    return look


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=pytest.mark.slow if key in WHOLE_RUNS else ()) for key in PROBES]
)
def test_a_key_changes_what_is_seen(key, usual, tmp_path):
    probe = PROBES[key]
    assert probe.look(made(tmp_path, probe.base, key, probe.changed), tmp_path) != usual(probe)


@pytest.mark.parametrize("look", [PLAN, RUN, reading], ids=["plan", "run", "files"])
def test_the_same_settings_show_the_same(look, usual, tmp_path):
    assert look(made(tmp_path, MODELS), tmp_path) == usual(Probe(look, "", MODELS))


@pytest.mark.parametrize(("key", "other"), ONLY_ONE_VALUE.items())
def test_a_key_of_one_value_refuses_every_other(key, other, tmp_path):
    with pytest.raises(SettingsInvalid, match=rf"{key.partition('.')[2]} = {other}"):
        made(tmp_path, {}, key, other)


def test_no_key_is_without_a_probe():
    known = {f"{section}.{key}" for section, key in keys()}
    probed = {key for key in PROBES if key.partition(".")[0] not in OPEN_SECTIONS}
    assert probed | ONLY_ONE_VALUE.keys() == known
    assert {key.partition(".")[0] for key in PROBES} >= OPEN_SECTIONS.keys()
