"""Each column of every table once: its name in files, its heading on screens, its alignment, how a row's cell is read.

A table is a choice of columns over rows: lines of the plan (`TradeLine`) before trading, `OrderRow`s after it. The
same columns are written as CSV and as records for programs, whose numbers are plain (`-1234.50`), and as Markdown, as
narrow lines and on the terminal for people, whose numbers have commas. A new column is declared here and put into the
choices below that are to show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Generic, TypeVar

from core.model import (
    FUNDING,
    USD,
    Currency,
    Fill,
    FxLeg,
    Limit,
    OrderRecord,
    OrderState,
    OutsideHolding,
    Plan,
    RunResult,
    Side,
    Stage,
    Symbol,
    TradeLine,
)
from core.money import BPS, ZERO
from core.report import formats
from core.report.formats import UNKNOWN, with_commas

TOTAL = "TOTAL"
NOT_SENT = "not sent"

Row = TypeVar("Row")


def _nothing(_: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column of a table of `Row`s; made by `left` (texts) and `right` (numbers).

    `name` heads it in files and in the wide tables of the reports, `title` wherever space is short. `cell` is the text
    of a row for programs, "" when it is not known. `reading` is the text for people; `total` that of the last row,
    made from the plan that the rows are of.
    """

    name: str
    title: str
    is_number: bool
    cell: Callable[[Row], str]
    reading: Callable[[Row], str]
    total: Callable[[Plan], str] = _nothing

    def titled(self, title: str) -> Column[Row]:
        """The same under another heading, for a table that is narrower or about something else."""
        return replace(self, name=title, title=title)


def left(
    name: str,
    cell: Callable[[Row], str],
    *,
    title: str = "",
    reading: Callable[[Row], str] | None = None,
    total: Callable[[Plan], str] = _nothing,
) -> Column[Row]:
    """A column of texts; people read what programs read unless `reading` says otherwise."""
    return Column(name, title or name, is_number=False, cell=cell, reading=reading or cell, total=total)


def right(
    name: str,
    cell: Callable[[Row], str],
    *,
    title: str = "",
    reading: Callable[[Row], str] | None = None,
    total: Callable[[Plan], str] = _nothing,
) -> Column[Row]:
    """A column of numbers; people read them with commas unless `reading` says otherwise."""
    shown = reading or (lambda row: with_commas(cell(row)))
    return Column(name, title or name, is_number=True, cell=cell, reading=shown, total=total)


Columns = Sequence[Column[Row]]


# --- the same columns, written for each kind of reader


def csv_of(columns: Columns[Row], rows: Iterable[Row], plan: Plan | None = None) -> str:
    """The table as CSV under the columns' names; the totals of `plan` last, if it is given."""
    total = [] if plan is None else [[column.total(plan) for column in columns]]
    cells = ([column.cell(row) for column in columns] for row in rows)
    return formats.csv_text([column.name for column in columns], [*cells, *total])


def markdown_of(columns: Columns[Row], rows: Iterable[Row], plan: Plan | None = None) -> str:
    """The table as Markdown under the columns' names; empty without a row."""
    names = [column.name for column in columns]
    cells = readings(columns, rows, plan)
    return formats.table(names, cells, [column.name for column in columns if column.is_number]) if cells else ""


def lines_of(columns: Columns[Row], rows: Iterable[Row], width: int) -> list[str]:
    """The table as aligned lines of text under the columns' titles, for what is `width` characters wide."""
    return formats.aligned([headings(columns), *readings(columns, rows)], width)


def records_of(columns: Columns[Row], rows: Iterable[Row]) -> list[dict[str, str]]:
    """A record for every row, by the columns' titles, as Prefect's tables take them."""
    return [{column.title: column.cell(row) for column in columns} for row in rows]


def readings(columns: Columns[Row], rows: Iterable[Row], plan: Plan | None = None) -> list[tuple[str, ...]]:
    """The cells of every row as people read them; the totals of `plan` last, if it is given."""
    total = [] if plan is None else [tuple(with_commas(column.total(plan)) for column in columns)]
    return [*(tuple(column.reading(row) for column in columns) for row in rows), *total]


def headings(columns: Columns[Any]) -> tuple[str, ...]:
    """The columns' titles."""
    return tuple(column.title for column in columns)


def figures_of(name: str, figures: Iterable[tuple[str, str]], value: str = "value") -> str:
    """A Markdown table of names, headed by `name`, with their values to the right."""
    return markdown_of((left(name, lambda figure: figure[0]), right(value, lambda figure: figure[1])), figures)


# --- before trading: a row is a line of the plan


def by_drift(lines: Iterable[TradeLine]) -> list[TradeLine]:
    """The lines, largest |drift| first, ties by symbol."""
    return sorted(lines, key=lambda line: (-abs(line.drift_bps), line.symbol))


def limit_text(limit: Limit | FxLeg | None) -> str:
    """The limit price, or the order type of an order without one; empty when the line has none yet."""
    if limit is None:
        return ""
    return formats.price(limit.limit_price) if limit.limit_price is not None else limit.order_type


def _signed_shares(line: TradeLine) -> str:
    """Shares the account gains: negative for a sell, 0 for a line that does not trade."""
    return formats.shares(-line.quantity if line.side is Side.SELL else line.quantity)


def _limit_price(line: TradeLine) -> str:
    return formats.price(line.limit.limit_price) if line.side and line.limit else ""


def _worst_price(line: TradeLine) -> str:
    return formats.price(line.limit.worst_price) if line.side and line.limit else ""


def _drift_sums(plan: Plan) -> str:
    before, after = plan.totals.drift_before_bps, plan.totals.drift_after_bps
    return f"sum of absolute drift {formats.bps(before)} bps now, {formats.bps(after)} bps after"


# programs read 0 shares and 0.00 USD for a line that does not trade, people an empty cell
def _if_traded(column: Column[TradeLine]) -> Column[TradeLine]:
    """The column with empty cells for lines that do not trade."""
    return replace(column, reading=lambda line: column.reading(line) if line.side else "")


SYMBOL: Column[TradeLine] = left("symbol", lambda line: line.symbol, total=lambda _: TOTAL)
SIDE: Column[TradeLine] = left("side", lambda line: line.side or "")
# only what adds up to something has a total: drifts of both signs would cancel out
TARGET: Column[TradeLine] = right(
    "target_pct",
    lambda line: formats.percent(line.target),
    title="target %",
    total=lambda plan: formats.percent(sum((line.target for line in plan.lines), ZERO)),
)
CURRENT: Column[TradeLine] = right(
    "current_pct",
    lambda line: formats.percent(line.current),
    title="now %",
    total=lambda plan: formats.percent(sum((line.current for line in plan.lines), ZERO)),
)
DRIFT: Column[TradeLine] = right("drift_bps", lambda line: formats.bps(line.drift_bps), title="drift bps")
DRIFT_AFTER: Column[TradeLine] = right("planned", lambda line: formats.bps(line.projected_drift_bps), title="after")
PRICE: Column[TradeLine] = right("price", lambda line: formats.price(line.price.value))
PRICE_SOURCE: Column[TradeLine] = left("price_source", lambda line: line.price.source_text)
WANTED: Column[TradeLine] = right("dollar_delta", lambda line: formats.money(line.wanted))
SHARE_DELTA: Column[TradeLine] = right("share_delta", _signed_shares, title="shares")
SHARES: Column[TradeLine] = right("shares", lambda line: formats.shares(line.quantity))
NOTIONAL: Column[TradeLine] = right(
    "est_notional",
    lambda line: formats.money(line.dollars),
    title="USD",
    total=lambda plan: formats.money(plan.totals.sells + plan.totals.buys),
)
# a market order has an empty limit for programs; a person must read that it is one
LIMIT: Column[TradeLine] = right(
    "limit_price", _limit_price, title="limit", reading=lambda line: limit_text(line.limit) if line.side else ""
)
WORST: Column[TradeLine] = right("worst", _worst_price)
REASON: Column[TradeLine] = left("reason", lambda line: line.reason)

PLAN_FILE = (
    *(SYMBOL, TARGET, CURRENT, DRIFT, PRICE, WANTED, SHARE_DELTA, SIDE),
    *(NOTIONAL, PRICE_SOURCE, LIMIT, replace(REASON, total=_drift_sums)),
)
# its reasons would make the table too wide to read
PLAN_TABLE = PLAN_FILE[:-1]
PLAN_SCREEN = (
    *(SYMBOL, TARGET, CURRENT, DRIFT, PRICE, SIDE),
    *(_if_traded(SHARE_DELTA), LIMIT, WORST, _if_traded(NOTIONAL)),
)
PLAN_RECORDS: tuple[Column[TradeLine], ...] = (
    SYMBOL,
    SIDE,
    SHARES,
    LIMIT,
    NOTIONAL,
    DRIFT,
    left("status", lambda _: "planned"),
)
UNTARGETED_TABLE = (SYMBOL, SIDE, SHARES, LIMIT.titled("limit"), NOTIONAL.titled("USD"))
# a phone shows 38 characters: no commas in its weights, no cents in its dollars
PHONE_ORDERS: tuple[Column[TradeLine], ...] = (
    left("", lambda line: f"{line.side or '':4} {line.symbol}"),
    SHARES,
    LIMIT,
    WORST,
    right("USD", lambda line: formats.whole(line.dollars)),
)
PHONE_WEIGHTS = tuple(
    replace(column.titled(title), reading=column.cell)
    for column, title in ((SYMBOL, ""), (TARGET, "target"), (CURRENT, "now"), (DRIFT, "drift"), (DRIFT_AFTER, "after"))
)
OUTSIDE_TABLE: tuple[Column[OutsideHolding], ...] = (
    left("symbol", lambda holding: holding.symbol),
    right("shares", lambda holding: formats.shares(holding.quantity)),
    right("USD", lambda holding: formats.money(holding.value)),
    left("why", lambda holding: holding.why),
)


# --- after trading: a row is an order, or a trade of the plan that never became one


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRow:
    """One order after trading, or a trade of the plan that never became one, and why ("" where that is unknown).

    FX: shares in USD, price and notional in CAD. `slippage_bps` and `residual_bps` are None when not known.
    """

    symbol: Symbol
    side: Side
    ordered: Decimal
    state: str
    reason: str = ""
    fills: tuple[Fill, ...] = ()
    average: Decimal | None = None
    slippage_bps: Decimal | None = None
    residual_bps: Decimal | None = None

    @property
    def filled(self) -> Decimal:
        return sum((fill.shares for fill in self.fills), ZERO)

    @property
    def notional(self) -> Decimal:
        return sum((fill.shares * fill.price for fill in self.fills), ZERO)

    @property
    def trade(self) -> str:
        """`BUY 1,200 VTI`."""
        return f"{self.side} {formats.grouped(self.ordered)} {self.symbol}"

    @property
    def status(self) -> str:
        """`Filled`, or `not sent: the market is closed`."""
        return f"{self.state}: {self.reason}" if self.reason else self.state


def trade_rows(result: RunResult) -> tuple[TradeRow, ...]:
    """A row for every order as they were sent, then one for every trade of the plan that was not; FX before all.

    A line tried twice has two rows.
    """
    residual = result.residual_drift_bps or {}
    rows = (*(_trade_row(record, residual) for record in result.orders), *unsent_rows(result))
    # the conversion is sent first; sorting is stable, so the others stay in the order they were sent
    return tuple(sorted(rows, key=lambda row: row.symbol != FUNDING.symbol))


def unsent_rows(result: RunResult) -> tuple[TradeRow, ...]:
    """The trades of the plan that never became an order, in the order they would have been sent."""
    plan, reasons = result.plan, result.not_sent
    if plan is None:
        return ()
    residual = result.residual_drift_bps or {}
    fx = [(FUNDING.symbol, Side.BUY, plan.fx.quantity)] if plan.fx else []
    trades = (*fx, *((line.symbol, line.side, line.quantity) for line in (*plan.sells, *plan.buys)))
    return tuple(
        TradeRow(
            symbol=symbol,
            side=side,
            ordered=quantity,
            state=NOT_SENT,
            reason=reasons[symbol],
            residual_bps=None if symbol == FUNDING.symbol else residual.get(symbol),
        )
        for symbol, side, quantity in trades
        if side and symbol in reasons
    )


def _trade_row(record: OrderRecord, residual: Mapping[Symbol, Decimal]) -> TradeRow:
    order, average = record.order, record.average_price
    return TradeRow(
        symbol=order.contract.symbol,
        side=order.side,
        ordered=order.quantity,
        state=NOT_SENT if record.state is OrderState.NOT_SENT else record.state.label,
        fills=record.fills,
        average=average,
        # the mid when the order was sent, as the journal has it: by now the market has moved
        slippage_bps=slippage_bps(average, order.mid, is_buy=order.side is Side.BUY),
        residual_bps=None if order.stage is Stage.FX else residual.get(order.contract.symbol),
    )


def commissions(fills: Iterable[Fill]) -> dict[Currency, Decimal] | None:
    """The sum of the commissions in each currency; None while any is not known."""
    sums: dict[Currency, Decimal] = {}
    for fill in fills:
        # IBKR reports commissions in messages of their own, after the executions: a partial sum would look complete
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


def _commission(row: TradeRow) -> str:
    """The sum of the commissions, `1.00` in USD and `2.00 CAD` in another currency; empty while any is not known.

    Also empty without a fill: no report says that nothing was charged.
    """
    sums = commissions(row.fills) or {}
    return " + ".join(
        formats.money(amount) if currency == USD else f"{formats.money(amount)} {currency}"
        for currency, amount in sorted(sums.items())
    )


def _known_commission(row: TradeRow) -> str:
    """The commission for people: one that an order with fills lacks is unknown."""
    text = _commission(row)
    return UNKNOWN if row.filled and not text else with_commas(text)


def _filled_of(row: TradeRow) -> str:
    filled, ordered = formats.shares(row.filled), formats.shares(row.ordered)
    return filled if filled == ordered else f"{filled} of {ordered}"


ROW_SYMBOL: Column[TradeRow] = left("symbol", lambda row: row.symbol)
ROW_SIDE: Column[TradeRow] = left("side", lambda row: row.side)
ORDER: Column[TradeRow] = left("order", lambda row: f"{row.side} {row.symbol}")
FILLED: Column[TradeRow] = right("filled_shares", lambda row: formats.shares(row.filled), title="filled")
ORDERED: Column[TradeRow] = right("ordered_shares", lambda row: formats.shares(row.ordered), title="ordered")
FILLED_OF: Column[TradeRow] = right("filled", _filled_of)
AVERAGE: Column[TradeRow] = right("avg_price", lambda row: formats.price(row.average), title="average")
PAID: Column[TradeRow] = right("notional", lambda row: formats.money(row.notional))
# why a trade was not sent stands below the tables for people, once for all of its trades
STATUS: Column[TradeRow] = left("status", lambda row: row.status, reading=lambda row: row.state)
STATE: Column[TradeRow] = left("status", lambda row: row.state)
COMMISSION: Column[TradeRow] = right("commission", _commission, reading=_known_commission)
SLIPPAGE: Column[TradeRow] = right("slippage_bps", lambda row: formats.bps(row.slippage_bps), title="slip bps")
RESIDUAL: Column[TradeRow] = right(
    "residual_drift_bps", lambda row: formats.bps(row.residual_bps), title="residual bps"
)

ORDERS_FILE = (
    *(ROW_SYMBOL, ROW_SIDE, FILLED, AVERAGE, PAID, ORDERED),
    *(STATUS, COMMISSION, SLIPPAGE, RESIDUAL),
)
ORDERS_SCREEN = (ROW_SYMBOL, ROW_SIDE, FILLED, ORDERED, AVERAGE, PAID, STATE, SLIPPAGE, RESIDUAL)
ORDERS_RECORDS = (ROW_SYMBOL, ROW_SIDE, FILLED, ORDERED, AVERAGE, PAID, STATE)
PAGE_ORDERS = (ORDER, FILLED_OF, AVERAGE.titled("average"), STATE)
PAGE_COSTS = (ORDER.titled(""), PAID, COMMISSION, SLIPPAGE)


def drift_columns(result: RunResult, total: str) -> tuple[Column[TradeLine], ...]:
    """What became of each line: symbol, shares now, target, weight now, and its drift before, as planned and now.

    The last row is called `total` and has the sums of the absolute drifts.
    """
    # the columns of a plan with other totals, and three that need the account after trading
    residual, after = result.residual_drift_bps or {}, result.valuation_after

    def held(line: TradeLine) -> Decimal | None:
        # a symbol that is no longer in the universe was sold completely
        return None if after is None else after.held.get(line.symbol, ZERO)

    def weight(line: TradeLine) -> Decimal | None:
        shares = held(line)
        if after is None or not after.investable or shares is None:
            return None
        return shares * after.prices[line.symbol].value / after.investable if shares else ZERO

    return (
        replace(SYMBOL, total=lambda _: total),
        right("shares", lambda line: formats.shares(held(line))),
        replace(TARGET, total=_nothing),
        right("current_pct", lambda line: formats.percent(weight(line))),
        replace(DRIFT.titled("drift_before"), total=lambda plan: formats.bps(plan.totals.drift_before_bps)),
        replace(DRIFT_AFTER, total=lambda plan: formats.bps(plan.totals.drift_after_bps)),
        right(
            "residual",
            lambda line: formats.bps(residual.get(line.symbol)),
            total=lambda _: formats.bps(sum(map(abs, residual.values()), ZERO)),
        ),
    )
