"""Before the first buy: would the account bear all of them, by the broker's own reckoning?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.errors import ContractNotFound, FractionRefused, FundsInsufficient, OrderRejected
from core.model import Currency, MarginEffect, Order
from core.money import CENT, ZERO
from core.reading import Reader
from core.wording import counted

NEXT_STEP = "none of the buys was sent; free cash or margin, then run again"


@dataclass(frozen=True, slots=True)
class MarginLeft:
    """What would be left with `buys` orders filled: funds for new orders, and what keeps from liquidation."""

    buys: int
    available_funds: Decimal
    excess_liquidity: Decimal
    currency: Currency

    @property
    def shortage(self) -> Decimal:
        """By how much it is not enough, 0 when it is; each answer is rounded, so a cent of each is none."""
        short = -min(self.available_funds, self.excess_liquidity)
        return short if short > CENT * self.buys else ZERO


async def ask_for_margin(reader: Reader, buys: Sequence[Order]) -> MarginLeft | None:
    """What all of the buys together would leave, each asked about once; None when the broker reckoned with none.

    A buy that it would refuse for another reason than margin is left out: its own order will tell. Raises
    FundsInsufficient when a single one is too much already or all together are.
    """
    effects = [effect for order in buys if (effect := await _effect(reader, order))]
    if not effects:
        return None
    left = _left_after(effects)
    if left.shortage:
        raise FundsInsufficient(
            f"by the broker's reckoning {counted(left.buys, 'buy')} would exceed the account's margin "
            f"by {left.shortage:,.2f} {left.currency}",
            next_step=NEXT_STEP,
        )
    return left


async def _effect(reader: Reader, order: Order) -> MarginEffect | None:
    try:
        return await reader.what_if(order)
    except FundsInsufficient as error:
        raise FundsInsufficient(error.message, next_step=NEXT_STEP) from error
    except (ContractNotFound, FractionRefused, OrderRejected):
        return None


def _left_after(effects: Sequence[MarginEffect]) -> MarginLeft:
    """The account as the last answer shows it, with the changes of all of them."""
    last = effects[-1]
    equity = last.equity_with_loan.before + sum((each.equity_with_loan.change for each in effects), ZERO)
    initial = last.initial_margin.before + sum((each.initial_margin.change for each in effects), ZERO)
    kept = last.maintenance_margin.before + sum((each.maintenance_margin.change for each in effects), ZERO)
    return MarginLeft(len(effects), equity - initial, equity - kept, last.currency)
