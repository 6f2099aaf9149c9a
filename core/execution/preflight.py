"""Before orders are sent: would the broker accept each, and has the account the margin for all buys together?

What-if orders answer that; nothing is placed. An order that the broker refuses for another reason than money it would
refuse later as well, and then after the sells. A refusal for insufficient funds may be cured by the sells' proceeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from core.errors import (
    BrokerError,
    ContractNotFound,
    FractionRefused,
    FundsInsufficient,
    MarketClosed,
    NoAnswer,
    OrderRejected,
)
from core.execution.reader import Reader
from core.model import Currency, MarginEffect, Order
from core.money import CENT, ZERO
from core.text import counted

REFUSALS = (ContractNotFound, FractionRefused, FundsInsufficient, MarketClosed, OrderRejected)
NO_BUY = "none of the buys was sent; free cash or margin, then run again"
LOOK_AT_MONEY = (
    "nothing was sent; free cash or margin, or look at [rebalance] cash_buffer_pct, allow_margin and "
    "maintenance_buffer_pct, then run again"
)
NOTHING_SENT = "nothing was sent; read the broker's reason, change the settings or the account, then run again"


@dataclass(frozen=True, slots=True)
class MarginAfter:
    """What would be left with `buys` orders filled: available funds, and the excess liquidity above liquidation."""

    buys: int
    available_funds: Decimal
    excess_liquidity: Decimal
    currency: Currency

    @property
    def shortage(self) -> Decimal:
        """By how much it falls short, 0 when it does not; each answer is rounded, so a cent of each is tolerated."""
        short = -min(self.available_funds, self.excess_liquidity)
        return short if short > CENT * self.buys else ZERO


@dataclass(frozen=True, slots=True)
class WhatIfAnswers:
    """The broker's answer to the what-if of each order; each order is in one of the three."""

    effects: Mapping[Order, MarginEffect] = field(default_factory=dict)
    refusals: Mapping[Order, BrokerError] = field(default_factory=dict)
    unanswered: Mapping[Order, NoAnswer] = field(default_factory=dict)

    @property
    def unfunded(self) -> Mapping[Order, FundsInsufficient]:
        """The refusals for insufficient funds."""
        return {order: error for order, error in self.refusals.items() if isinstance(error, FundsInsufficient)}

    @property
    def permanent(self) -> Mapping[Order, BrokerError]:
        """The refusals for other reasons: permission, contract, size, presets, fractions."""
        return {order: error for order, error in self.refusals.items() if order not in self.unfunded}


async def ask_what_if(reader: Reader, orders: Sequence[Order]) -> WhatIfAnswers:
    """The broker's answer to a what-if of each order, one request each, within the message budget.

    Raises as a read does when the connection is lost or the message limit is met.
    """
    effects: dict[Order, MarginEffect] = {}
    refusals: dict[Order, BrokerError] = {}
    unanswered: dict[Order, NoAnswer] = {}
    # one by one: a failed what-if may never be answered, and its time-out must name the order
    for order in orders:
        try:
            effects[order] = await reader.what_if(order)
        except NoAnswer as error:
            unanswered[order] = error
        except REFUSALS as error:
            refusals[order] = error
    return WhatIfAnswers(effects, refusals, unanswered)


def refuse_permanent(answers: WhatIfAnswers) -> None:
    """Raise the refusals that no proceeds cure: the first, with all of them in its faults."""
    _refuse(answers.permanent, NOTHING_SENT)


def refuse_unfunded(answers: WhatIfAnswers, orders: Sequence[Order]) -> None:
    """Raise the refusals of `orders` for insufficient funds, which must be available already."""
    _refuse({order: error for order, error in answers.unfunded.items() if order in orders}, LOOK_AT_MONEY)


def check_combined_margin(answers: WhatIfAnswers, next_step: str = NO_BUY) -> MarginAfter | None:
    """The margin that the accepted buys would leave together; None when the broker accepted none.

    Raises FundsInsufficient when a single one is too much already or all together are.
    """
    _refuse(answers.unfunded, next_step)
    if not answers.effects:
        return None
    left = _left_after(list(answers.effects.values()))
    if left.shortage:
        raise FundsInsufficient(
            f"by the broker's calculation {counted(left.buys, 'buy')} would exceed the account's margin "
            f"by {left.shortage:,.2f} {left.currency}",
            next_step=next_step,
        )
    return left


def _refuse(refusals: Mapping[Order, BrokerError], next_step: str) -> None:
    if refusals:
        errors = list(refusals.values())
        raise type(errors[0])(errors[0].message, next_step=next_step, faults=[each.message for each in errors])


def _left_after(effects: Sequence[MarginEffect]) -> MarginAfter:
    """The account as the last answer shows it, with the changes of all of them."""
    # each what-if is of the account as it is, so changes add up, and the latest `before` is the freshest
    last = effects[-1]
    equity = last.equity_with_loan.before + sum((each.equity_with_loan.change for each in effects), ZERO)
    initial = last.initial_margin.before + sum((each.initial_margin.change for each in effects), ZERO)
    kept = last.maintenance_margin.before + sum((each.maintenance_margin.change for each in effects), ZERO)
    return MarginAfter(len(effects), equity - initial, equity - kept, last.currency)
