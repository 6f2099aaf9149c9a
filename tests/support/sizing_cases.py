"""Sizing by bare numbers: what one line wants and gets, without the plan around it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from planning_builders import plan_settings

from core.model import DriftLine, Limit, LimitedBy, OrderType, Price, PriceSource, Side, Symbol
from core.money import ONE, WHOLE_SHARE, ZERO
from core.planning.drafts import TradeDraft
from core.planning.funding import Budget
from core.planning.sizing import sell_quantity
from core.planning.sizing import size_buys as size_drafts


class BuyWant(NamedTuple):
    """What one line would buy: `wanted` > 0 is USD, prices are USD per share, `most` is an upper bound in shares."""

    symbol: Symbol
    wanted: Decimal
    price: Decimal
    worst_price: Decimal
    step: Decimal = WHOLE_SHARE
    most: Decimal | None = None


class SizedBuy(NamedTuple):
    """Shares to buy, and what made them fewer than wanted."""

    symbol: Symbol
    quantity: Decimal
    limited_by: LimitedBy | None


class SellWant(NamedTuple):
    """What one line would sell: `wanted` > 0 is USD at `price`, `held` shares; an exit has target 0."""

    symbol: Symbol
    wanted: Decimal
    price: Decimal
    held: Decimal
    is_exit: bool
    most_usd: Decimal | None = None
    step: Decimal = WHOLE_SHARE


class SizedSell(NamedTuple):
    """Shares to sell, what an exit cannot sell, and what made them fewer than wanted."""

    symbol: Symbol
    quantity: Decimal
    remainder: Decimal
    limited_by: LimitedBy | None


def size_buys(
    wants: Sequence[BuyWant], money: Decimal, *, min_order_usd: Decimal, commission: Decimal
) -> tuple[SizedBuy, ...]:
    """What each line gets, in order of symbol."""
    drafts = [
        TradeDraft(
            _drift(want.symbol, want.wanted, want.price),
            Side.BUY,
            limit=Limit(OrderType.LMT, want.worst_price, want.worst_price, None, ""),
            step=want.step,
            most=want.most,
        )
        for want in wants
    ]
    budget = Budget(money, LimitedBy.MONEY, commission)
    sized = size_drafts(drafts, budget, plan_settings(min_order_usd=min_order_usd).rebalance)
    return tuple(SizedBuy(draft.drift.symbol, draft.quantity, draft.limited_by) for draft in sized)


def size_sell(want: SellWant, *, rounds_up: bool, min_order_usd: Decimal) -> SizedSell:
    """What one line sells."""
    rebalance = plan_settings(min_order_usd=min_order_usd, max_order_usd=want.most_usd).rebalance
    drift = _drift(want.symbol, -want.wanted, want.price, want.held, ZERO if want.is_exit else ONE)
    return SizedSell(want.symbol, *sell_quantity(drift, want.step, rebalance, rounds_up=rounds_up))


def _drift(symbol: Symbol, wanted: Decimal, price: Decimal, held: Decimal = ZERO, target: Decimal = ONE) -> DriftLine:
    return DriftLine(symbol, target, held, Price(price, PriceSource.LAST), ONE, wanted, True, None, "")
