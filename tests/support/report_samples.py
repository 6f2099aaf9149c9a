"""One rich run, shown in every report, with figures that add up.

Currency is bought, SPY and an untargeted ETF are sold, VTI is bought in two attempts of which the second is
only partly filled; GLD and QQQ do not trade; AAPL is not ours to touch.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from builders import (
    NOW,
    contract,
    fill,
    order_record,
    outcome,
    plan,
    position,
    snapshot,
    still_line,
    totals,
    trade_line,
    valuation,
)

from core.errors import OrderIncomplete, OutputFailed
from core.model import (
    CAD,
    USD,
    AccountSnapshot,
    Approval,
    FxLeg,
    GateFault,
    GateVerdict,
    Limit,
    LimitedBy,
    Nbbo,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderType,
    OutsideHolding,
    Plan,
    Price,
    PriceSource,
    RunEvent,
    RunResult,
    SecurityType,
    Side,
    Stage,
    Symbol,
    TradeLine,
    WorkingOrder,
)
from core.money import BPS, D

REF = "RB-ABCDEFGHIJ23"
TARGETS = {"ARKK": D(0), "GLD": D("0.05"), "QQQ": D("0.15"), "SPY": D("0.2"), "VTI": D("0.6")}
PRICES = {"ARKK": D(50), "GLD": D(200), "QQQ": D(500), "SPY": D("600.125"), "VTI": D(100)}
HELD = {"ARKK": D("30.5"), "GLD": D(14), "QQQ": D(19), "SPY": D(25), "VTI": D(290)}
HELD_AFTER = {"ARKK": D("0.5"), "GLD": D(14), "QQQ": D(19), "SPY": D(22), "VTI": D(375)}
CASH = {USD: D(1500), CAD: D(8000)}
CASH_AFTER = {USD: D("1208.00"), CAD: D("1292.62")}
RATES = {USD: D(1), CAD: D("0.73260")}

GROSS = sum((HELD[symbol] * price for symbol, price in PRICES.items()), D(630))
NET_LIQ = GROSS + CASH[USD] + CASH[CAD] * RATES[CAD]
BUFFER = NET_LIQ / 100
INVESTABLE = NET_LIQ - BUFFER - 630

FX = FxLeg(
    quantity=D(4912),
    order_type=OrderType.LMT,
    limit_price=D("1.36565"),
    worst_rate=D("1.3656825"),
    planning_rate=D("1.36495"),
    funding_needed=D(4912) * D("1.36495"),
    shortfall=D("4902.17"),
    reason="4902.17 USD are short for the buys; 20 bps on top",
    mid=D("1.36495"),
    warning="below 25000 USD the venue treats it as an odd lot",
)
GATES = (
    GateVerdict("portfolios", 5, 9, ()),
    GateVerdict("quotes", 5, 8, (GateFault("fresh", False, ("SPY",), "quote older than 10 s"),)),
)
APPROVAL = Approval("9f2c" * 16, True, "Ada | Byron", NOW, "looks right\n=now()", "form")


def sample_line(symbol: str, **changes: object) -> TradeLine:
    """A line of the sample; weights, wanted dollars and drifts follow from what is held and traded."""
    price, held, target = PRICES[symbol], HELD[symbol], TARGETS[symbol]
    values = {
        "held": held,
        "target": target,
        "price": Price(price, PriceSource.LAST),
        "wanted": target * INVESTABLE - held * price,
        "investable": INVESTABLE,
    }
    make = trade_line if changes["side"] else still_line
    return make(symbol, **(values | changes))


LINES = (
    sample_line(
        "SPY",
        side=Side.SELL,
        quantity=D(3),
        price=Price(PRICES["SPY"], PriceSource.MIDPOINT),
        limit=Limit(OrderType.LMT, D("600.10"), D("600.10"), Nbbo(D("600.05"), D("600.20")), "mid - 0.25 spread"),
        rule="over its target by more than the band of 50 bps",
    ),
    sample_line(
        "ARKK",
        side=Side.SELL,
        number=2,
        quantity=D(30),
        limit=Limit(
            *(OrderType.MKT, None, D("49.95"), Nbbo(D("49.80"), D("50.20"))),
            *("wide spread: market", "ARKK: wide spread of 80 bps"),
        ),
        untargeted=True,
        rule="held without a target; 0.5 of a share stays, only whole shares can be sold",
        remainder=D("0.5"),
    ),
    sample_line("VTI", side=Side.BUY, quantity=D(97), rule="under its target by more than the band of 50 bps"),
    sample_line("GLD", side=None, limited_by=LimitedBy.MINIMUM, rule="below the minimum order of 500.00 USD"),
    sample_line("QQQ", side=None, rule="inside its band of 50 bps"),
)


def sample_plan() -> Plan:
    """Two sells, one of them an exit without a target, one buy, two lines that do not trade, and FX."""
    return plan(
        *LINES,
        fx=FX,
        warnings=("the broker's NetLiq is 0.02 % higher",),
        valuation=valuation(
            LINES,
            cash=CASH,
            usd_per_funding=RATES[CAD],
            outside=(OutsideHolding(Symbol("AAPL"), D(3), D("630.00"), "a share, not an ETF"),),
            net_liq=NET_LIQ,
            broker_net_liq=D("65830.00"),
            buffer=BUFFER,
            investable=INVESTABLE,
            gross_position_value=GROSS,
        ),
        totals=totals(
            LINES,
            gross_after=(GROSS + D("6399.625")) / NET_LIQ,
            turnover_pct=D("13000.375") / NET_LIQ * 100,
            cash_after={USD: D("12.375"), CAD: CASH[CAD] - FX.funding_needed},
        ),
    )


SPY_FILLS = (fill("2", "600.15"), fill("1", "600.10", commission=D("0.35")))


def sample_orders() -> tuple[OrderRecord, ...]:
    """FX with its commission in CAD; a sell; a market sell of unknown commission; a buy in two attempts."""
    return (
        order_record(
            "USD.CAD",
            fill("4912", "1.36500", commission=D("2.50"), commission_currency=CAD),
            ref=OrderRef(f"{REF}-F1-1"),
            contract=contract("USD.CAD", security_type=SecurityType.CASH, currency=CAD),
            stage=Stage.FX,
            quantity=D(4912),
            limit_price=D("1.36565"),
            mid=D("1.36495"),
        ),
        sell_record("SPY", *SPY_FILLS, limit_price=D("600.10"), spread=D("0.05")),
        sell_record("ARKK", fill("30", "49.96", commission=None), line=2, order_type=OrderType.MKT, limit_price=None),
        order_record(quantity=D(97), state=OrderState.CANCELLED, reason="timed out", mid=None),
        order_record(
            "VTI",
            fill("85", "100.01"),
            ref=OrderRef(f"{REF}-B1-2"),
            attempt=2,
            quantity=D(97),
            state=OrderState.CANCELLED,
            reported_filled=D(86),
        ),
    )


def sell_record(symbol: str, *fills, line: int = 1, **changes: object) -> OrderRecord:
    """A sell that filled completely, its mid being our price of the symbol."""
    sell = {"side": Side.SELL, "stage": Stage.SELL, "line": line, "ref": OrderRef(f"{REF}-S{line}-1")}
    quantity = sum((filled.shares for filled in fills), D(0))
    return order_record(symbol, *fills, quantity=quantity, mid=PRICES[symbol], **(sell | changes))


def sample_snapshot(held: Mapping[str, Decimal], apple: str, cash: Mapping[str, Decimal]) -> AccountSnapshot:
    positions = (position(symbol, str(quantity), str(PRICES[symbol])) for symbol, quantity in held.items())
    share = position("AAPL", apple, "210", contract=contract("AAPL", security_type=SecurityType.STOCK))
    return snapshot(share, *positions, cash=cash, rates=RATES)


def sample_outcome() -> RunResult:
    """What became of it: the second buy was filled in part, and one report could not be written."""
    return outcome(
        plan=sample_plan(),
        before=sample_snapshot(HELD, "3", CASH),
        after=sample_snapshot(HELD_AFTER, "6", CASH_AFTER),
        valuation_after=valuation(LINES, held=HELD_AFTER, investable=INVESTABLE),
        residual_drift_bps={
            Symbol(symbol): (HELD_AFTER[symbol] * PRICES[symbol] / INVESTABLE - TARGETS[symbol]) * BPS
            for symbol in TARGETS
        },
        orders=sample_orders(),
        cancelled=(
            WorkingOrder(OrderRef("RB-EARLIER23456-B1-1"), Symbol("VTI"), Side.BUY, D(10), D(4), OrderType.LMT, D(99)),
        ),
        approvals=(APPROVAL,),
        gates=GATES,
        events=(RunEvent(NOW - timedelta(minutes=4), "approved", "by Ada"), RunEvent(NOW, "done", "")),
        warnings=("AAPL: 3 shares more than our fills explain (account DU1234567)",),
        errors=(
            OrderIncomplete("VTI: 85 of 97 bought", next_step="run again", faults=(f"{REF}-B1-2: timed out",)),
            OutputFailed("cannot write report.html: No space left on device", next_step="free that place"),
        ),
    )
