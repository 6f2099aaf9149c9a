"""What the three stages have in common: the checks before each, sending, and whether the next may start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.errors import KillSwitchOn, PlanKeptChanging, RebalanceError
from core.execution import Attempts
from core.market.limits import Pricing
from core.model import Contract, Order, OrderRecord, Plan, Quote, Stage, Symbol
from core.money import ZERO
from core.planning.invalidation import without_lines
from core.text import counted
from tasks.app.run import Run
from tasks.gates import gate_orders
from tasks.plan import check_blackout
from tasks.quotes import take_quotes

POINT_BEFORE = {Stage.FX: "before_fx", Stage.SELL: "before_sells", Stage.BUY: "before_buys"}


class StageStopped(Exception):
    """Nothing more may be sent in this run; the causes are among the run's errors already."""


def check_kill_switch(run: Run) -> None:
    """Refuse to start, or warn where no orders would be sent, while the kill switch is on. Raises KillSwitchOn."""
    try:
        run.guard()
    except KillSwitchOn as error:
        run.refuse_or_warn(error)


def start_stage(run: Run, stage: Stage) -> None:
    """Refuse to start a stage under the kill switch or in a blackout. Raises KillSwitchOn, MarketClosed."""
    run.reach(POINT_BEFORE[stage])
    run.guard()
    check_blackout(run)


async def send(run: Run, stage: Stage, orders: Sequence[Order], attempts: Attempts | None = None) -> None:
    """Send the orders of a stage and follow each to its end; nothing without orders.

    Failures of single orders are kept for the report; without `attempts` each order is tried once.
    Raises DataRefused before the first is sent, and StageStopped when nothing more may be sent.
    """
    if not orders:
        return
    await gate_orders(run, orders)
    run.log_step(stage.lower(), f"sending {counted(len(orders), 'order')}")

    pricer = _StagePricing(run, attempts, orders) if attempts else None
    # from here `Run.cancel` leaves the stage to end its orders itself
    run.is_sending = True
    try:
        result = await run.executor.run_stage(
            orders, pricer.next_attempt if pricer else None, pricer.refreshed if pricer else None
        )
    finally:
        run.is_sending = False
    for warning in result.warnings:
        run.warn(warning)
    for error in result.errors:
        run.fail(error)
    # by line, not by order: a line may have taken several attempts
    filled = dict.fromkeys((order.line for order in orders), ZERO)
    for record in result.records:
        filled[record.order.line] += record.filled
    complete = sum(filled[order.line] == order.quantity for order in orders)
    run.log_step(stage.lower(), f"{complete} of {counted(len(orders), 'order')} filled")
    if result.stops:
        run.stopped_by = result.stopped_by
        raise StageStopped("nothing more is sent in this run; its report says why")


def pricing(run: Run) -> Pricing:
    """The settings, the time and the mode that limit prices are computed from now."""
    return Pricing(run.settings, run.broker.now(), run.mode.sends_orders)


def exclude(run: Run, plan: Plan, reasons: Mapping[Symbol, str]) -> Plan:
    """The plan without the lines that may not be sent for these reasons; the run goes on, and ends with exit 34."""
    for line in plan.lines:
        if line.symbol in reasons:
            run.unsent[line.symbol] = reasons[line.symbol]
            run.fail(
                PlanKeptChanging(
                    f"{line.side} {line.quantity:,f} {line.symbol} was not sent: {reasons[line.symbol]}",
                    next_step="run again for a new plan",
                )
            )
    return without_lines(plan, reasons)


class _StagePricing:
    """Prices for orders of a stage that is under way, by quotes taken on the connection that its orders work on."""

    def __init__(self, run: Run, attempts: Attempts, orders: Sequence[Order]) -> None:
        self._run = run
        self._attempts = attempts
        quotes = {order.ref: run.quotes.get(order.contract.symbol) for order in orders}
        self._priced_from = quotes
        self._looked_at = {quote.symbol: quote.taken_at for quote in quotes.values() if quote}

    async def next_attempt(self, record: OrderRecord) -> Order:
        """A new order for the remainder of a cancelled one, at a fresh price, past its gate.

        Raises DataRefused, and what `next_order` raises.
        """
        run, contract, remainder = self._run, record.order.contract, record.order.quantity - record.filled
        symbol = contract.symbol
        quotes = await self._take_quotes({symbol: contract})
        order = self._attempts.next_order(record, quotes[symbol], pricing(run), run.journal.orders(run.id))
        await gate_orders(run, [order])
        if order.quantity < remainder:
            less = (
                f"only {order.quantity:,f} of the last {remainder:,f} are sent again: another commission had to be paid"
            )
            run.reduced[symbol] = less
            run.warn(f"{symbol}: {less}")
        self._priced_from[order.ref] = quotes[symbol]
        return order

    async def refreshed(self, order: Order, queue: Sequence[Order]) -> Order:
        """`order` itself while its quote was taken within `stale_after`, else at the price of a new one, past its gate.

        The quotes of all orders in the `queue` are taken at once. Raises DataRefused, and what `priced_again` raises.
        """
        run, symbol = self._run, order.contract.symbol
        # not by the age of the quote: where the market has no younger one, it would be taken again for ever
        if run.broker.now() - self._looked_at[symbol] > run.settings.limits.stale_after:
            await self._take_quotes({each.contract.symbol: each.contract for each in queue})
        quote = run.quotes[symbol]
        if quote is self._priced_from[order.ref]:
            return order
        try:
            fresh = self._attempts.priced_again(order, quote, pricing(run))
            await gate_orders(run, [fresh], have_waited=True)
        except RebalanceError as error:
            run.unsent[symbol] = error.message
            raise
        self._priced_from[order.ref] = quote
        return fresh

    async def _take_quotes(self, contracts: Mapping[Symbol, Contract]) -> Mapping[Symbol, Quote]:
        with self._run.reader.on_this_connection():
            taken = await take_quotes(self._run, contracts)
        self._looked_at |= dict.fromkeys(taken, self._run.broker.now())
        return taken
