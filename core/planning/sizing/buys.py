"""Buy quantities: all lines together, because they share the money.

In: the drift lines that want more than nothing (USD), prices and worst prices (USD per share), and a budget (USD).
Out: a draft for each, its quantity in shares. The promise is kept at worst prices: if every order fills at its limit
and pays its commission, the money is enough. Within it Σ|wanted − quantity × price| is made as small as a bounded
search can. Why not line by line: with 1 000 USD for wanted 600 + 600, the first would get all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from core.model import DriftLine, LimitedBy, Side, Symbol
from core.money import ONE, WHOLE_SHARE, ZERO, floor_to, nearest_to_low
from core.planning.drafts import SYMBOL, TradeDraft, TradingTerms, allows, new_draft, note_for
from core.planning.funding import Budget, BuyCosts
from core.planning.sizing.basket import Basket, Item, units_down, units_up
from core.planning.sizing.knapsack import spend
from core.planning.sizing.scaling import scale
from core.settings import RebalanceSection

BUY = Side.BUY


def draft_buys(
    drifts: Iterable[DriftLine], terms: TradingTerms, approved: Mapping[Symbol, Decimal] | None = None
) -> tuple[TradeDraft, ...]:
    """What `drifts` want to buy, before the money is looked at: drafts with a limit and without a quantity.

    With `approved` quantities those are the upper bounds, else max_order_usd is. What is too small to trade whatever
    the money has neither, and needs no quote to be priced.
    """
    rebalance, drafts = terms.rebalance, []
    for drift in drifts:
        step = terms.step(drift.symbol)
        shares = _wanted_shares(drift, step)
        most = approved[drift.symbol] if approved is not None else None
        if approved is None and rebalance.max_order_usd is not None:
            most = floor_to(rebalance.max_order_usd / drift.price.value, step)
        limited_by = _too_small(drift, shares, most, rebalance, is_approved=approved is not None)
        if limited_by:
            note = note_for(limited_by, ZERO, shares, rebalance)
            drafts.append(TradeDraft(drift, BUY, limited_by=limited_by, note=note))
        else:
            limit = terms.limit(BUY, drift.symbol)
            drafts.append(new_draft(TradeDraft, drift, BUY, ZERO, limit, None, "", ZERO, step, most))
    return tuple(drafts)


def buy_costs(drafts: Iterable[TradeDraft], rebalance: RebalanceSection) -> BuyCosts:
    """What the limits of borrowing need to know of these buys; nothing where no money is borrowed."""
    if not rebalance.allow_margin:
        return BuyCosts(0, ZERO, rebalance.commission_per_order_usd)
    slippages = [ONE - draft.drift.price.value / draft.limit.worst_price for draft in drafts if draft.limit]
    return BuyCosts(len(slippages), max([ZERO, *slippages]), rebalance.commission_per_order_usd)


def cost_with_ample_money(drafts: Sequence[TradeDraft], rebalance: RebalanceSection) -> Decimal:
    """USD for everything wanted, at worst prices and without commissions."""
    prices = [(draft, draft.limit.worst_price) for draft in drafts if draft.limit]
    ample = sum([2 * (_wanted_shares(draft.drift, draft.step) + ONE) * worst for draft, worst in prices], ZERO)
    bought = size_buys(drafts, Budget(ample, LimitedBy.MONEY, ZERO), rebalance)
    return sum([draft.worst_dollars for draft in bought], ZERO)


def size_buys(drafts: Iterable[TradeDraft], budget: Budget, rebalance: RebalanceSection) -> tuple[TradeDraft, ...]:
    """The drafts with their quantities in order of symbol, whatever the order of `drafts`; one without a limit stays.

    Σ(quantity × worst price + commission) over the lines that buy is never above the money of the budget (USD). No
    line is above the nearest whole share to wanted / price (a half share is not bought; fractions: 4 decimals,
    down) or above its `most`. Too little money scales all wanted dollars by one common factor, the largest
    at which the whole shares below fit, and what is left buys single shares. No line stays below
    `min_order_usd`: 1 000 USD for wanted 600 + 600 + 300 and a minimum of 400 drops the third before
    anything is scaled; of those that the scaling makes too small the one worth least is dropped first.
    """
    ordered = sorted(drafts, key=SYMBOL)
    wanting = [draft for draft in ordered if draft.limit]
    if not wanting:
        return tuple(ordered)
    minimum = units_up(rebalance.min_order_usd)
    items = [_item(draft, minimum) for draft in wanting]
    basket = Basket(items, units_down(budget.money), minimum, units_up(budget.commission))
    bought = zip(wanting, *_bought(basket), strict=True)
    sized = [_sized(draft, item, steps, budget, rebalance) for draft, item, steps in bought]
    if len(sized) < len(ordered):
        sized = sorted([*sized, *[draft for draft in ordered if not draft.limit]], key=SYMBOL)
    return tuple(sized)


def _wanted_shares(drift: DriftLine, step: Decimal) -> Decimal:
    """The nearest whole shares to the wanted dollars, whatever the money and the bounds; fractions down."""
    if drift.wanted <= ZERO:
        return ZERO
    shares = drift.wanted / drift.price.value
    return nearest_to_low(shares, step) if step == WHOLE_SHARE else floor_to(shares, step)


def _too_small(
    drift: DriftLine, shares: Decimal, most: Decimal | None, rebalance: RebalanceSection, *, is_approved: bool
) -> LimitedBy | None:
    """Why a buy cannot trade however much money there is; None when it can."""
    if not shares:
        return LimitedBy.MINIMUM if ZERO < drift.wanted < rebalance.min_order_usd else LimitedBy.ROUNDING
    if most is not None and not most:
        return LimitedBy.MAXIMUM
    price, least = drift.price.value, rebalance.min_order_usd
    if (shares if most is None else min(shares, most)) * price >= least:
        return None
    # an approved quantity was worth the minimum at the price of then
    return LimitedBy.MINIMUM if is_approved or shares * price < least else LimitedBy.MAXIMUM


def _item(draft: TradeDraft, minimum: int) -> Item:
    drift, step, limit = draft.drift, draft.step, draft.limit
    share, worst_share = drift.price.value, limit.worst_price if limit else drift.price.value
    if step is not WHOLE_SHARE:
        share, worst_share = share * step, worst_share * step
    price, worst, goal = units_down(share), units_up(worst_share), units_down(drift.wanted)
    floor, over = divmod(goal, price)
    cap, limited_by = floor + (step is WHOLE_SHARE and 2 * over > price), None
    if draft.most is not None and (most := int(draft.most / step)) < cap:
        cap, limited_by = most, LimitedBy.MAXIMUM
        goal, floor = min(goal, most * price), min(floor, most)
    # rounded up: the fewest steps that are worth the minimum
    least = max(1, -(-minimum // price))
    item = Item(price, worst, goal, cap, floor, least, limited_by)
    return item.dropped() if 0 < cap < least or goal < minimum > cap * price else item


def _bought(basket: Basket) -> tuple[Sequence[Item], Sequence[int]]:
    """The lines, those without a share that became too small marked as such, and the steps of each."""
    # most runs end here: the money is enough for the nearest shares of every line
    caps = [item.cap for item in basket.items]
    if basket.left(caps) >= 0:
        return basket.items, caps
    if basket.money <= 0:
        return basket.items, [0] * len(caps)
    scaled = scale(basket)
    steps = spend(basket, scaled.steps)
    return basket.without(line for line in scaled.dropped if not steps[line]).items, steps


def _sized(draft: TradeDraft, item: Item, steps: int, budget: Budget, rebalance: RebalanceSection) -> TradeDraft:
    quantity, limited_by, note = steps * draft.step, item.limited_by, ""
    if steps < item.cap:
        limited_by = budget.limited_by
    if limited_by:
        wanted = _wanted_shares(draft.drift, draft.step)
        note = note_for(limited_by, quantity, wanted, rebalance)
        # dropped by the scaling: what was wanted is worth the minimum, what the money allows is not
        if limited_by is LimitedBy.MINIMUM and wanted * draft.drift.price.value >= rebalance.min_order_usd:
            note = f"not traded: {allows(budget.limited_by)} less than min_order_usd {rebalance.min_order_usd:f}"
    return new_draft(
        TradeDraft, draft.drift, BUY, quantity, draft.limit, limited_by, note, ZERO, draft.step, draft.most
    )
