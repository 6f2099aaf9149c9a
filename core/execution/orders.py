"""The only place that builds an order: the first one of a line, a conversion, and the next attempt at a line.

An order is a line of the plan plus how it is sent; its reference names run, stage, line and attempt. The next attempt
is for the unfilled remainder of an order whose cancel is confirmed: freshly priced, and within what the line was sized
at and what is left to pay it with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from core.errors import OrderIncomplete, PlanKeptChanging
from core.execution.reconcile import Evidence
from core.journal.rules import run_of
from core.market.limits import Pricing, limit_for
from core.model import (
    FUNDING,
    USD,
    AccountId,
    CompletedOrder,
    Contract,
    Fill,
    Limit,
    Order,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderType,
    Plan,
    Quote,
    SecurityType,
    Side,
    Stage,
    TickBand,
    TradeLine,
    WorkingOrder,
)
from core.model.refs import order_ref, parse_ref
from core.money import CENT, FRACTION_OF_SHARE, WHOLE_SHARE, ZERO, floor_to
from core.planning.funding import FxMarket, affordable, fx_limit
from core.planning.invalidation import worse_than_approved
from core.settings import Settings


def stage_orders(plan: Plan, stage: Stage, settings: Settings) -> list[Order]:
    """The first order of every line of a stage, SELL or BUY, at the line's limit and in the plan's order."""
    return [_first_order(plan, stage, line, settings) for line in (plan.sells if stage is Stage.SELL else plan.buys)]


def conversion_order(plan: Plan, funding_cash: Decimal, market: FxMarket, settings: Settings) -> Order | None:
    """BUY USD.CAD for the plan's USD, at most what `funding_cash` pays for at the worst rate; None for nothing.

    With 1,000 CAD and a worst rate of 1.4050, 711 of 900 planned USD are bought. The limit of a limit order is that
    worst rate, rounded down to the pair's tick.
    """
    if plan.fx is None:
        return None
    quantity = affordable(plan.fx.quantity, funding_cash, market)
    if not quantity:
        return None
    return Order(
        ref=order_ref(plan.run_id, Stage.FX, 1, 1),
        account_id=plan.account_id,
        # quotes come from the pair's own venue, orders go to the one of the settings
        contract=replace(plan.contracts[FUNDING.symbol], exchange=settings.fx.route),
        stage=Stage.FX,
        line=1,
        attempt=1,
        side=FUNDING.side,
        quantity=quantity,
        order_type=settings.fx.order_type,
        limit_price=fx_limit(market, settings.fx),
        outside_rth=not settings.rebalance.prefer_rth,
        mid=market.mid,
        spread=market.spread,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What further attempts at the lines of a stage keep to.

    `lines` are those of the stage: buys as sized, sells as approved. `money` is the USD that was there for buys before
    the first order, the cash buffer included and what the target borrows; None where nothing is bought. The usual
    commission is set aside for each order, and each line has `reprice_attempts` after its first. A sell is not tried
    again more than `max_price_move_bps` below its approved worst price, whatever the price of the order before it; a
    buy never goes above the price it was sized at.
    """

    lines: Sequence[TradeLine]
    money: Decimal | None
    settings: Settings

    def next_order(self, ended: OrderRecord, quote: Quote, pricing: Pricing, records: Iterable[OrderRecord]) -> Order:
        """The order for the remainder of one whose cancel is confirmed; of a buy, as much as cash pays for.

        `records` are the run's orders. Raises MarketDataMissing without a usable market, PlanKeptChanging for a sell
        whose price has become too low, OrderIncomplete where the cash does not even cover another order's commission.
        """
        order, most_bps = ended.order, self.settings.approval.max_price_move_bps
        line = next(each for each in self.lines if each.number == order.line)
        bound = _limit_of(line)
        limit = limit_for(order.side, order.contract, pricing.judge(quote), replace(pricing, attempt=order.attempt))
        quantity = order.quantity - ended.filled
        # buys share one sum of cash, so a dearer attempt at one would take the money of another
        if order.side is Side.BUY:
            limit = _capped(limit, bound)
            price = limit.worst_price if limit.limit_price is None else limit.limit_price
            quantity = self._affordable(quantity, price, ended, tuple(records))
        elif worse := worse_than_approved(Side.SELL, bound.worst_price, limit.worst_price, most_bps):
            raise PlanKeptChanging(
                f"{line.symbol}: the remainder of {quantity:,f} is not sold: {worse}",
                next_step="run again for a new plan",
            )
        attempt = order.attempt + 1
        return replace(
            order,
            ref=order_ref(run_of(order), order.stage, order.line, attempt),
            attempt=attempt,
            quantity=quantity,
            order_type=limit.order_type,
            limit_price=limit.limit_price,
            mid=limit.mid,
            spread=limit.spread,
        )

    def priced_again(self, order: Order, quote: Quote, pricing: Pricing) -> Order:
        """An order that has not been sent yet, at a price of `quote`; of a buy never above what it was sized at.

        Raises MarketDataMissing without a usable market, PlanKeptChanging where the price is now worse than approved.
        """
        line = next(each for each in self.lines if each.number == order.line)
        bound, most_bps = _limit_of(line), self.settings.approval.max_price_move_bps
        limit = limit_for(order.side, order.contract, pricing.judge(quote), replace(pricing, attempt=order.attempt - 1))
        if worse := worse_than_approved(order.side, bound.worst_price, limit.worst_price, most_bps):
            raise PlanKeptChanging(
                f"{order.side} {order.quantity:,f} {line.symbol} was not sent: {worse}",
                next_step="run again for a new plan",
            )
        if order.side is Side.BUY:
            limit = _capped(limit, bound)
        return replace(
            order, order_type=limit.order_type, limit_price=limit.limit_price, mid=limit.mid, spread=limit.spread
        )

    def _affordable(
        self, remainder: Decimal, price: Decimal, ended: OrderRecord, records: tuple[OrderRecord, ...]
    ) -> Decimal:
        """Shares of the remainder that cash pays for at `price`, after what the stage has spent and may still spend."""
        if self.money is None:
            return remainder
        tried = {line.number: _orders_at(line.number, ended, records) for line in self.lines}
        spent = sum((self._spent(orders) for orders in tried.values()), ZERO)
        others = [line for line in self.lines if line.number != ended.order.line]
        reserved = sum((self._reserved(line, tried[line.number]) for line in others), ZERO)
        left = self.money - spent - reserved - self._commission
        # a whole remainder stays whole: a fraction would need a permission that the first order did not need
        step = WHOLE_SHARE if remainder == remainder.to_integral_value() else FRACTION_OF_SHARE
        paid = min(remainder, floor_to(left / price, step))
        if paid <= 0:
            raise OrderIncomplete(
                f"{ended.order.contract.symbol}: the remainder of {remainder:,f} is not sent again: without borrowing"
                " nothing is left for the commission of another order",
                next_step="the remainder is left as drift; run again for a new plan",
            )
        return paid

    @property
    def _commission(self) -> Decimal:
        return self.settings.rebalance.commission_per_order_usd

    def _spent(self, orders: Iterable[OrderRecord]) -> Decimal:
        """USD paid for the fills of these orders and their commissions; an unknown one counts as the usual."""
        return sum((_cost(order) + _fees(order, self._commission) for order in orders), ZERO)

    def _reserved(self, line: TradeLine, orders: Sequence[OrderRecord]) -> Decimal:
        """USD that a line may still need at its worst price: its order works, is queued, or will be tried again."""
        last = orders[-1] if orders else None
        remainder = line.quantity if last is None else last.order.quantity - last.filled
        is_abandoned = last is not None and last.state.is_final and not may_continue(last, self.settings)
        if not remainder or is_abandoned:
            return ZERO
        # the commission of a working order with fills is among the spent already
        is_charged = last is not None and not last.state.is_final and bool(last.fills)
        return remainder * _limit_of(line).worst_price + (ZERO if is_charged else self._commission)


def order_shown(ref: OrderRef, account_id: AccountId, evidence: Evidence) -> Order:
    """An order of ours as far as the lists show it, for one that is on no record; `ref` must be in them.

    Its contract has the symbol and the currency that we trade it in, and no more.
    """
    parsed = parse_ref(ref)
    listed: tuple[WorkingOrder | CompletedOrder | Fill, ...] = (*evidence.working, *evidence.completed, *evidence.fills)
    fills = [fill for fill in evidence.fills if fill.order_ref == ref]
    shown = next((each for each in listed if each.order_ref == ref), None)
    if parsed is None or shown is None:
        raise ValueError(f"{ref} is no order of ours that the lists show")
    filled = sum((fill.shares for fill in fills), ZERO)
    # a completed order may come without the quantity it was placed with
    quantity = filled if isinstance(shown, Fill) else max(shown.quantity, shown.filled, filled)
    limit = shown.limit_price if isinstance(shown, WorkingOrder) else None
    is_fx = shown.symbol == FUNDING.symbol
    contract = Contract(
        shown.symbol,
        con_id=0,
        security_type=SecurityType.CASH if is_fx else SecurityType.ETF,
        currency=FUNDING.currency if is_fx else USD,
        ticks=(TickBand(ZERO, CENT),),
    )
    return Order(
        ref=ref,
        account_id=account_id,
        contract=contract,
        stage=parsed.stage,
        line=parsed.line,
        attempt=parsed.attempt,
        side=shown.side,
        quantity=quantity,
        order_type=OrderType.MKT if limit is None else OrderType.LMT,
        limit_price=limit,
        outside_rth=False,
    )


def may_continue(record: OrderRecord, settings: Settings) -> bool:
    """Whether the remainder of an order that ended may get another attempt."""
    # only a confirmed cancel frees the remainder; what was rejected or expired would be so again
    return record.state is OrderState.CANCELLED and record.order.attempt <= settings.execution.reprice_attempts


def _first_order(plan: Plan, stage: Stage, line: TradeLine, settings: Settings) -> Order:
    limit = _limit_of(line)
    return Order(
        ref=order_ref(plan.run_id, stage, line.number, 1),
        account_id=plan.account_id,
        contract=plan.contracts[line.symbol],
        stage=stage,
        line=line.number,
        attempt=1,
        side=Side.SELL if stage is Stage.SELL else Side.BUY,
        quantity=line.quantity,
        order_type=limit.order_type,
        limit_price=limit.limit_price,
        outside_rth=not settings.rebalance.prefer_rth,
        mid=limit.mid,
        spread=limit.spread,
    )


def _orders_at(line: int, ended: OrderRecord, records: Iterable[OrderRecord]) -> list[OrderRecord]:
    """The orders at a line of the same stage so far, in order."""
    return [each for each in records if (each.order.stage, each.order.line) == (ended.order.stage, line)]


def _cost(record: OrderRecord) -> Decimal:
    return sum((fill.shares * fill.price for fill in record.fills), ZERO)


def _fees(record: OrderRecord, usual: Decimal) -> Decimal:
    """USD charged for the fills of an order, `usual` at least while any is not known."""
    # commissions in another currency than USD are not part of the USD that buys are paid from
    known = sum((fill.commission or ZERO for fill in record.fills if fill.commission_currency in (USD, None)), ZERO)
    is_unknown = any(fill.commission is None for fill in record.fills)
    return max(known, usual) if is_unknown else known


def _capped(fresh: Limit, sized: Limit) -> Limit:
    """The fresh limit, but never above the price at which the buys were sized: they must stay affordable together."""
    price = fresh.limit_price
    if price is None:
        is_within = sized.limit_price is None and fresh.worst_price <= sized.worst_price
    else:
        is_within = price <= sized.worst_price
    if is_within:
        return fresh._replace(worst_price=min(fresh.worst_price, sized.worst_price))
    # a limit beyond the ask buys at the ask: nothing is gained by more
    most = min(sized.worst_price, fresh.market.ask) if fresh.market else sized.worst_price
    return sized._replace(order_type=OrderType.LMT, limit_price=most, market=fresh.market)


def _limit_of(line: TradeLine) -> Limit:
    if line.limit is None:
        raise ValueError(f"{line.symbol} is not traded and has no limit")
    return line.limit
