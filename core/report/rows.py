"""Values → rows of the two tables: before trading from the plan, after trading from what really happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from decimal import Decimal

from core.model import (
    USD,
    USD_CAD,
    Currency,
    Fill,
    OrderRecord,
    OrderState,
    Plan,
    RunResult,
    Side,
    Stage,
    Symbol,
    TradeLine,
)
from core.money import BPS, ZERO
from core.report import formats

TOTAL = "TOTAL"
NOT_SENT = "not sent"

PRE_TRADE_COLUMNS = (
    "symbol",
    "target_pct",
    "current_pct",
    "drift_bps",
    "price",
    "dollar_delta",
    "share_delta",
    "side",
    "est_notional",
    "price_source",
    "limit_price",
    "reason",
)
POST_TRADE_COLUMNS = (
    "symbol",
    "side",
    "filled_shares",
    "avg_price",
    "notional",
    "ordered_shares",
    "status",
    "commission",
    "slippage_bps",
    "residual_drift_bps",
)


@dataclass(frozen=True, slots=True)
class PreTradeRow:
    """One symbol before trading, as text: `dollar_delta` away from its target, of which `est_notional` is traded."""

    symbol: str
    target_pct: str
    current_pct: str
    drift_bps: str
    price: str
    dollar_delta: str
    share_delta: str
    side: str
    est_notional: str
    price_source: str
    limit_price: str
    reason: str

    @property
    def cells(self) -> tuple[str, ...]:
        return astuple(self)


@dataclass(frozen=True, slots=True)
class PostTradeRow:
    """One order after trading, or a trade of the plan that never became one, as text; empty is not known.

    FX: shares in USD, price and notional in CAD.
    """

    symbol: str
    side: str
    filled_shares: str
    avg_price: str
    notional: str
    ordered_shares: str
    status: str
    commission: str
    slippage_bps: str
    residual_drift_bps: str

    @property
    def cells(self) -> tuple[str, ...]:
        return astuple(self)

    @property
    def state(self) -> str:
        """The status without the reason that follows it where nothing was sent."""
        return self.status.partition(":")[0]


@dataclass(frozen=True, slots=True)
class UnsentTrade:
    """A trade of the plan of which no order was made, and why in words, "" where nobody said; USD for USD.CAD."""

    symbol: Symbol
    side: Side
    quantity: Decimal
    reason: str

    @property
    def what(self) -> str:
        """`BUY 1,200 VTI`."""
        return f"{self.side} {formats.grouped(self.quantity)} {self.symbol}"

    @property
    def text(self) -> str:
        """`BUY 1,200 VTI not sent: the market is closed`."""
        return f"{self.what} {NOT_SENT}{': ' if self.reason else ''}{self.reason}"


def pre_trade_rows(plan: Plan) -> tuple[PreTradeRow, ...]:
    """A row for every symbol of the universe, largest |drift| first, ties by symbol; the totals last."""
    return (*map(_pre_trade_row, by_drift(plan.lines)), _totals_row(plan))


def post_trade_rows(outcome: RunResult) -> tuple[PostTradeRow, ...]:
    """A row for every order as they were sent, then one for every trade of the plan that was not; FX before all.

    A line tried twice has two rows.
    """
    residual = outcome.residual_drift_bps or {}
    sent = [_post_trade_row(record, residual) for record in outcome.orders]
    unsent = [_unsent_row(trade, residual) for trade in unsent_trades(outcome)]
    return tuple(sorted((*sent, *unsent), key=lambda row: row.symbol != USD_CAD))


def unsent_trades(outcome: RunResult) -> tuple[UnsentTrade, ...]:
    """The trades of the plan that never became an order, in the order they would have been sent."""
    plan, reasons = outcome.plan, outcome.not_sent
    if plan is None:
        return ()
    fx = [(USD_CAD, Side.BUY, plan.fx.quantity)] if plan.fx else []
    trades = (*fx, *((line.symbol, line.side, line.quantity) for line in (*plan.sells, *plan.buys)))
    return tuple(
        UnsentTrade(symbol, side, quantity, reasons[symbol])
        for symbol, side, quantity in trades
        if side and symbol in reasons
    )


def by_drift(lines: Iterable[TradeLine]) -> list[TradeLine]:
    """The lines, largest |drift| first, ties by symbol."""
    return sorted(lines, key=lambda line: (-abs(line.drift_bps), line.symbol))


def signed_quantity(line: TradeLine) -> Decimal:
    """Shares the account gains: negative for a sell, 0 for a line that does not trade."""
    return -line.quantity if line.side is Side.SELL else line.quantity


def commission(fills: Iterable[Fill]) -> str:
    """The sum of the commissions, `1.00` in USD and `2.00 CAD` in another currency; empty while any is not known.

    Also empty without a fill: nobody said that nothing was charged.
    """
    sums = commissions(fills)
    return " + ".join(
        formats.money(amount) if currency == USD else f"{formats.money(amount)} {currency}"
        for currency, amount in sorted((sums or {}).items())
    )


def commissions(fills: Iterable[Fill]) -> dict[Currency, Decimal] | None:
    """The sum of the commissions in each currency; None while any is not known."""
    sums: dict[Currency, Decimal] = {}
    for fill in fills:
        if fill.commission is None:
            return None
        currency = fill.commission_currency or USD
        sums[currency] = sums.get(currency, ZERO) + fill.commission
    return sums


def slippage_bps(average: Decimal | None, mid: Decimal | None, *, is_buy: bool) -> Decimal | None:
    """What the fills cost against the mid when the order was sent, in bps; positive is a cost.

    A buy at 100.02 with the mid at 100.00 cost 2 bps. None without a fill or without a mid.
    """
    if average is None or not mid:
        return None
    return (average - mid if is_buy else mid - average) / mid * BPS


def _pre_trade_row(line: TradeLine) -> PreTradeRow:
    return PreTradeRow(
        symbol=line.symbol,
        target_pct=formats.percent(line.target),
        current_pct=formats.percent(line.current),
        drift_bps=formats.bps(line.drift_bps),
        price=formats.price(line.price.value),
        dollar_delta=formats.money(line.wanted),
        share_delta=formats.shares(signed_quantity(line)),
        side=line.side or "",
        est_notional=formats.money(line.dollars),
        price_source=line.price.source_text,
        limit_price=formats.price(line.limit.limit_price) if line.side and line.limit else "",
        reason=line.reason,
    )


def _totals_row(plan: Plan) -> PreTradeRow:
    """Only what adds up to something: weights, and what is traded. Drifts of both signs would cancel out."""
    totals = plan.totals
    return PreTradeRow(
        symbol=TOTAL,
        target_pct=formats.percent(sum((line.target for line in plan.lines), ZERO)),
        current_pct=formats.percent(sum((line.current for line in plan.lines), ZERO)),
        drift_bps="",
        price="",
        dollar_delta="",
        share_delta="",
        side="",
        est_notional=formats.money(totals.sells + totals.buys),
        price_source="",
        limit_price="",
        reason=(
            f"sum of absolute drift {formats.bps(totals.drift_before_bps)} bps now, "
            f"{formats.bps(totals.drift_after_bps)} bps after"
        ),
    )


def _post_trade_row(record: OrderRecord, residual: Mapping[Symbol, Decimal]) -> PostTradeRow:
    order, average = record.order, record.average_price
    symbol = order.contract.symbol
    return PostTradeRow(
        symbol=symbol,
        side=order.side,
        filled_shares=formats.shares(record.filled),
        avg_price=formats.price(average),
        notional=formats.money(sum((fill.shares * fill.price for fill in record.fills), ZERO)),
        ordered_shares=formats.shares(order.quantity),
        status=NOT_SENT if record.state is OrderState.NOT_SENT else record.state.label,
        commission=commission(record.fills),
        slippage_bps=formats.bps(slippage_bps(average, order.mid, is_buy=order.side is Side.BUY)),
        residual_drift_bps="" if order.stage is Stage.FX else formats.bps(residual.get(symbol)),
    )


def _unsent_row(trade: UnsentTrade, residual: Mapping[Symbol, Decimal]) -> PostTradeRow:
    return PostTradeRow(
        symbol=trade.symbol,
        side=trade.side,
        filled_shares="0",
        avg_price="",
        notional=formats.money(ZERO),
        ordered_shares=formats.shares(trade.quantity),
        status=f"{NOT_SENT}: {trade.reason}" if trade.reason else NOT_SENT,
        commission="",
        slippage_bps="",
        residual_drift_bps="" if trade.symbol == USD_CAD else formats.bps(residual.get(trade.symbol)),
    )
