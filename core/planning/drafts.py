"""Between a symbol's drift and its line in the plan there is one value: its draft.

DriftLine (what it wants) → TradeDraft (what it gets: side, limit, shares, and what limited them) → TradeLine
(the same, numbered, with its weights and the rule behind it, as a person reads it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from core.market.limits import LimitCalculator, Pricing
from core.market.quotes import Verdict
from core.model import Contract, DriftLine, Limit, LimitedBy, Side, Symbol, TradeLine, Valuation
from core.money import FRACTION_OF_SHARE, WHOLE_SHARE, ZERO, plain
from core.planning.observing import PlanInputs
from core.settings import RebalanceSection, Settings

SYMBOL = attrgetter("drift.symbol")


class TradeDraft(NamedTuple):
    """One symbol on its way into the plan; `side` is the side it would trade on, None when it is left alone.

    `quantity` is in shares, a multiple of `step` (1 or 0.0001 shares) and at most `most` (an approved quantity or
    max_order_usd, None without a bound). A buy has its `limit` before its quantity, for the money is counted at its
    worst price. `note` is what kept the quantity below what was wanted; `remainder` is what an exit cannot
    sell (a fraction of a share).
    """

    drift: DriftLine
    side: Side | None = None
    quantity: Decimal = ZERO
    limit: Limit | None = None
    limited_by: LimitedBy | None = None
    note: str = ""
    remainder: Decimal = ZERO
    step: Decimal = WHOLE_SHARE
    most: Decimal | None = None

    @property
    def dollars(self) -> Decimal:
        """USD at the valuation price."""
        return self.quantity * self.drift.price.value

    @property
    def worst_dollars(self) -> Decimal:
        """USD at the worst price; 0 when nothing trades."""
        return self.quantity * self.limit.worst_price if self.limit and self.quantity else ZERO


# calling the class takes half as long again, and these are made for every symbol
new_draft, new_line = TradeDraft.__new__, TradeLine.__new__


class TradingTerms:
    """At what limit and in which steps each symbol would trade, by the quotes of one moment."""

    def __init__(
        self,
        contracts: Mapping[Symbol, Contract],
        verdicts: Mapping[Symbol, Verdict],
        pricing: Pricing,
        rebalance: RebalanceSection,
    ) -> None:
        self.rebalance = rebalance
        self._contracts, self._verdicts = contracts, verdicts
        self._calculators = {side: LimitCalculator(side, pricing) for side in Side}

    @classmethod
    def of(cls, inputs: PlanInputs, verdicts: Mapping[Symbol, Verdict], settings: Settings) -> TradingTerms:
        """The terms of what `inputs` may trade."""
        pricing = Pricing(settings, inputs.now, inputs.mode.sends_orders)
        return cls(inputs.contracts, verdicts, pricing, settings.rebalance)

    def limit(self, side: Side, symbol: Symbol) -> Limit:
        """How an order in this symbol is priced. Raises MarketDataMissing naming it."""
        return self._calculators[side].limit(self._contracts[symbol].ticks, self._verdicts[symbol])

    def step(self, symbol: Symbol) -> Decimal:
        """1 share, or 0.0001 where the setting and the contract both allow fractions."""
        takes_fractions = self.rebalance.allow_fractional and self._contracts[symbol].fractional
        return FRACTION_OF_SHARE if takes_fractions else WHOLE_SHARE


def note_for(limited_by: LimitedBy, quantity: Decimal, wanted: Decimal, rebalance: RebalanceSection) -> str:
    """What `limited_by` did to a line that wanted `wanted` shares and got `quantity`.

    Where max_order_usd is not the upper bound, the approved quantity was.
    """
    if limited_by is LimitedBy.MINIMUM:
        return f"not traded: below min_order_usd {rebalance.min_order_usd:f}"
    if limited_by is LimitedBy.ROUNDING:
        return "not traded: less than half a share" if not quantity else "rounded to whole shares"
    if limited_by is LimitedBy.HELD:
        return f"no more than held: {quantity:,f} of {wanted:,f} shares"
    if limited_by is LimitedBy.MAXIMUM:
        bound = "the approval" if rebalance.max_order_usd is None else f"max_order_usd {rebalance.max_order_usd:f}"
        return f"{bound} allows {quantity:,f} of {wanted:,f} shares"
    return f"{allows(limited_by)} {quantity:,f} of {wanted:,f} shares"


def allows(limited_by: LimitedBy) -> str:
    """What bounds the buys together, with its verb."""
    return "the borrowing limits allow" if limited_by is LimitedBy.LEVERAGE else "the money allows"


def number_lines(
    sells: Sequence[TradeDraft], buys: Sequence[TradeDraft], untouched: Sequence[TradeDraft], valuation: Valuation
) -> tuple[TradeLine, ...]:
    """Sells, buys, then what does not trade, each by symbol; a stage's lines are numbered from 1.

    Sells and buys come by symbol already, as the drift lines do.
    """
    selling = [draft for draft in sells if draft.quantity]
    buying = [draft for draft in buys if draft.quantity]
    resting = sorted([draft for draft in (*sells, *buys, *untouched) if not draft.quantity], key=SYMBOL)
    return (
        *[trade_line(draft, number, valuation) for number, draft in enumerate(selling, 1)],
        *[trade_line(draft, number, valuation) for number, draft in enumerate(buying, 1)],
        *[trade_line(draft, 0, valuation) for draft in resting],
    )


def trade_line(draft: TradeDraft, number: int, valuation: Valuation) -> TradeLine:
    """The line of one draft; without a quantity it has no side, and its reason is what kept it."""
    drift, side, quantity, limit, limited_by, note, remainder, _, _ = draft
    symbol, target, held, price, investable, wanted, _, limited_before, rule = drift
    if not quantity:
        side = limit = None
    is_untargeted = symbol in valuation.untargeted
    if is_untargeted:
        rule += "; held without a target"
    if note:
        rule += f"; {note}"
    if remainder:
        rule += f"; {plain(remainder)} of a share stays, only whole shares can be sold"
    return new_line(
        TradeLine,
        symbol,
        side,
        number,
        quantity,
        held,
        price,
        limit,
        target,
        wanted,
        investable,
        is_untargeted,
        limited_by or limited_before,
        rule,
        remainder,
    )
