"""Values with sensible defaults, so that a test shows only what matters to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.model import (
    USD,
    AccountId,
    AccountSnapshot,
    BrokerKind,
    Contract,
    Currency,
    Fill,
    Limit,
    LimitedBy,
    Mode,
    Nbbo,
    Order,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderType,
    Plan,
    Position,
    Price,
    PriceSource,
    Quote,
    RunId,
    RunResult,
    SecurityType,
    Side,
    Stage,
    Symbol,
    Targets,
    TickBand,
    Totals,
    TradeLine,
    Valuation,
)
from core.money import BPS, D, Money

NOW = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)  # a Monday, 15:30 in New York


def ticks(increment: str = "0.01") -> tuple[TickBand, ...]:
    return (TickBand(low_edge=Decimal(0), increment=D(increment)),)


def contract(symbol: str = "VTI", **changes: object) -> Contract:
    """A US-listed ETF in USD, open from 09:30 to 16:00 on the day of NOW."""
    values: dict[str, object] = {
        "symbol": Symbol(symbol),
        "con_id": sum(map(ord, symbol)) * 1000 + len(symbol),
        "security_type": SecurityType.ETF,
        "currency": USD,
        "ticks": ticks(),
        "primary_exchange": "ARCA",
        "liquid_hours": "20260302:0930-20260302:1600",
        "trading_hours": "20260302:0400-20260302:2000",
    }
    return Contract(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def quote(symbol: str = "VTI", **changes: object) -> Quote:
    """A fresh two-sided quote around 100.00, one cent wide on each side."""
    values: dict[str, object] = {
        "symbol": Symbol(symbol),
        "bid": D("99.99"),
        "ask": D("100.01"),
        "last": D("100.00"),
        "taken_at": NOW,
    }
    return Quote(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def trade_line(symbol: str = "VTI", **changes: object) -> TradeLine:
    """A buy of 10 shares at 100.00 with a limit of 100.01: 200 bps below its target of 60 %.

    A `drift_bps` makes the target what it must be for that.
    """
    values: dict[str, object] = {
        "symbol": Symbol(symbol),
        "side": Side.BUY,
        "number": 1,
        "quantity": D(10),
        "held": D(290),
        "price": Price(D("100.00"), PriceSource.LAST),
        "limit": Limit(OrderType.LMT, D("100.01"), D("100.01"), Nbbo(D("99.99"), D("100.01")), "mid + 0.25 spread"),
        "target": D("0.6"),
        "wanted": D(1000),
        "investable": D(50000),
        "untargeted": False,
        "limited_by": None,
        "rule": "200.00 bps under its target, band 50 bps",
    }
    values |= changes
    drift = values.pop("drift_bps", None)
    made = TradeLine(**values)  # type: ignore[arg-type]  # a builder takes any field
    return made if drift is None else made._replace(target=made.current - D(drift) / BPS)  # type: ignore[arg-type]


def still_line(symbol: str = "BND", **changes: object) -> TradeLine:
    """A line that does not trade: on its target, inside the band."""
    values: dict[str, object] = {
        "side": None,
        "number": 0,
        "quantity": D(0),
        "limit": None,
        "held": D(200),
        "target": D("0.4"),
        "wanted": D(0),
        "limited_by": LimitedBy.BAND,
        "rule": "inside its band of 50 bps",
    }
    return trade_line(symbol, **(values | changes))


def valuation(lines: Sequence[TradeLine] = (), **changes: object) -> Valuation:
    """50 000 USD to invest, 500 USD of buffer, 2 500 USD of cash, held and priced as the lines say."""
    values: dict[str, object] = {
        "prices": {line.symbol: line.price for line in lines},
        "held": {line.symbol: line.held for line in lines},
        "untargeted": frozenset(line.symbol for line in lines if line.untargeted),
        "outside": (),
        "cash": {USD: D(2500)},
        "usd_per_funding": None,
        "net_liq": D(50500),
        "broker_net_liq": D("50510.25"),
        "buffer": D(500),
        "investable": D(50000),
        "gross_position_value": D(48000),
        "excess_liquidity": D(38500),
        "maintenance_margin": D(12000),
        "buying_power": D(150000),
    }
    return Valuation(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def plan(*lines: TradeLine, **changes: object) -> Plan:
    """A plan over the given lines, by default one buy of VTI beside BND at rest; totals follow from the lines."""
    lines = lines or (trade_line(), still_line())
    weights = {line.symbol: line.target for line in lines if not line.untargeted}
    values: dict[str, object] = {
        "run_id": RunId("ABCDEFGHIJ23"),
        "account_id": AccountId("DU1234567"),
        "mode": Mode.PAPER,
        "targets": Targets(weights, sum(weights.values()), Decimal(0), sum(weights.values())),
        "valuation": valuation(lines),
        "contracts": {line.symbol: contract(line.symbol) for line in lines},
        "lines": lines,
        "fx": None,
        "totals": totals(lines),
        "warnings": (),
        "created_at": NOW,
        "expires_at": NOW + timedelta(seconds=900),
        "hash": "9f2c" * 16,
    }
    return Plan(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def totals(lines: Sequence[TradeLine], **changes: object) -> Totals:
    """Sums of the lines; exposures and cash as after a small buy."""
    sold, bought = (sum((line.dollars for line in lines if line.side is side), D(0)) for side in (Side.SELL, Side.BUY))
    values: dict[str, object] = {
        "sells": sold,
        "buys": bought,
        "turnover_pct": (sold + bought) / D(505),
        "spread_cost": D("0.10"),
        "gross_after": D("0.9703"),
        "net_after": D(1),
        "cash_after": {USD: D(2500) + sold - bought},
        "drift_before_bps": sum((abs(line.drift_bps) for line in lines), D(0)),
        "drift_after_bps": sum((abs(line.projected_drift_bps) for line in lines), D(0)),
    }
    return Totals(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def order_record(symbol: str = "VTI", *fills: Fill, **changes: object) -> OrderRecord:
    """A buy of 10 shares at 100.01, first attempt, sent and filled; `changes` are fields of the order or the record."""
    order: dict[str, object] = {
        "ref": OrderRef("RB-ABCDEFGHIJ23-B1-1"),
        "account_id": AccountId("DU1234567"),
        "contract": contract(symbol),
        "stage": Stage.BUY,
        "line": 1,
        "attempt": 1,
        "side": Side.BUY,
        "quantity": D(10),
        "order_type": OrderType.LMT,
        "limit_price": D("100.01"),
        "outside_rth": False,
        "mid": D("100.00"),
        "spread": None,
    }
    record: dict[str, object] = {"state": OrderState.FILLED, "created_at": NOW, "sent_at": NOW, "fills": fills}
    order |= {name: value for name, value in changes.items() if name in order}
    record |= {name: value for name, value in changes.items() if name not in order}
    return OrderRecord(order=Order(**order), **record)  # type: ignore[arg-type]  # a builder takes any field


def outcome(**changes: object) -> RunResult:
    """A paper run of five minutes that ended well, without a plan."""
    values: dict[str, object] = {
        "run_id": RunId("ABCDEFGHIJ23"),
        "name": "rebalance",
        "mode": Mode.PAPER,
        "broker": BrokerKind.FAKE,
        "account_id": AccountId("DU1234567"),
        "started_at": NOW - timedelta(minutes=5),
        "ended_at": NOW,
        "settings": {"ibkr": {"account_id": "******567", "port": "4002"}, "notify": {"webhook_url": "set"}},
    }
    return RunResult(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def fill(shares: str = "10", price: str = "100.01", **changes: object) -> Fill:
    """An execution of the first buy of VTI, one second after NOW, whose commission of 1 USD is known."""
    values: dict[str, object] = {
        "exec_id": f"0000e0d5.{shares}.{price}.01",
        "order_ref": OrderRef("RB-ABCDEFGHIJ23-B1-1"),
        "symbol": Symbol("VTI"),
        "side": Side.BUY,
        "shares": D(shares),
        "price": D(price),
        "at": NOW + timedelta(seconds=1),
        "commission": D("1.00"),
        "commission_currency": USD,
    }
    return Fill(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def position(symbol: str = "VTI", quantity: str = "100", price: str = "100.00", **changes: object) -> Position:
    """Shares held of a US ETF, marked at `price`."""
    values: dict[str, object] = {
        "contract": contract(symbol),
        "quantity": D(quantity),
        "average_cost": D(90),
        "market_price": D(price),
        "market_value": D(quantity) * D(price),
    }
    return Position(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def snapshot(*positions: Position, **changes: object) -> AccountSnapshot:
    """A USD account with 2 500 USD in cash and the given positions; NetLiq is their sum, margin a quarter of it."""
    held = sum((held.market_value or D(0) for held in positions), D(0))
    cash: Mapping[Currency, Decimal] = changes.get("cash", {USD: D(2500)})  # type: ignore[assignment]  # as above
    net_liq = held + cash.get(USD, D(0))
    values: dict[str, object] = {
        "account_id": AccountId("DU1234567"),
        "base_currency": USD,
        "net_liq": Money(net_liq, USD),
        "excess_liquidity": Money(net_liq - held / 4, USD),
        "buying_power": Money(net_liq * 4, USD),
        "maintenance_margin": Money(held / 4, USD),
        "cash": cash,
        "rates": {USD: D(1)},
        "positions": positions,
        "working_orders": (),
        "taken_at": NOW,
    }
    return AccountSnapshot(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field
