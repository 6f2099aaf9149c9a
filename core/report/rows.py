"""Values → rows of the two tables: before trading from the plan, after trading from what really happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from decimal import Decimal

from core.model import USD, Fill, OrderRecord, Plan, Side, Stage, Symbol, TradeLine
from core.money import BPS, ZERO
from core.report import formats

TOTAL = "TOTAL"

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
    """One order after trading, as text; empty is not known. FX: shares in USD, price and notional in CAD."""

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


def pre_trade_rows(plan: Plan) -> tuple[PreTradeRow, ...]:
    """A row for every symbol of the universe, largest |drift| first, ties by symbol; the totals last."""
    return (*map(_pre_trade_row, by_drift(plan.lines)), _totals_row(plan))


def post_trade_rows(
    orders: Iterable[OrderRecord], residual_drift_bps: Mapping[Symbol, Decimal] | None
) -> tuple[PostTradeRow, ...]:
    """A row for every order, FX first, then as they were sent; a line tried twice has two rows."""
    ordered = sorted(orders, key=lambda record: record.order.stage is not Stage.FX)
    return tuple(_post_trade_row(record, residual_drift_bps or {}) for record in ordered)


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
    sums: dict[str, Decimal] = {}
    for fill in fills:
        if fill.commission is None:
            return ""
        currency = fill.commission_currency or USD
        sums[currency] = sums.get(currency, ZERO) + fill.commission
    return " + ".join(
        formats.money(amount) if currency == USD else f"{formats.money(amount)} {currency}"
        for currency, amount in sorted(sums.items())
    )


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
        price_source=line.price.source,
        limit_price=formats.price(line.limit.limit_price) if line.side and line.limit else "",
        reason=line.reason,
    )


def _totals_row(plan: Plan) -> PreTradeRow:
    totals = plan.totals
    target = sum((line.target for line in plan.lines), ZERO)
    current = sum((line.current for line in plan.lines), ZERO)
    return PreTradeRow(
        symbol=TOTAL,
        target_pct=formats.percent(target),
        current_pct=formats.percent(current),
        drift_bps=formats.bps((current - target) * BPS),
        price="",
        dollar_delta=formats.money(sum((line.wanted for line in plan.lines), ZERO)),
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
        status=record.state.label,
        commission=commission(record.fills),
        slippage_bps=formats.bps(slippage_bps(average, order.mid, is_buy=order.side is Side.BUY)),
        residual_drift_bps="" if order.stage is Stage.FX else formats.bps(residual.get(symbol)),
    )
