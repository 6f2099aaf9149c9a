"""The currency that funds buys of US-listed ETFs, and the pair in which it becomes US dollars.

Only CAD is accepted today. Another currency that is quoted per US dollar (CHF, JPY) is another value here, in the
settings' list of what is accepted, and in the contracts of the simulator; one that the pair names first (EUR.USD)
would be sold instead, which the arithmetic of planning does not do yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from core.model.types import CAD, USD_CAD, Currency, Side, Symbol
from core.money import ONE, floor_to


@dataclass(frozen=True, slots=True)
class FundingPair:
    """`symbol` is quoted in `currency` per USD; `side` of it gets USD, its quantity in whole USD, its prices on `tick`.

    The tick is that of the venue for currencies, half a pip: a contract without a market rule would say a cent.
    """

    currency: Currency
    symbol: Symbol
    side: Side
    tick: Decimal

    def usd_for(self, amount: Decimal, rate: Decimal) -> Decimal:
        """Whole USD that `amount` of the currency pays for at `rate`: 1,000 CAD at 1.4050 are 711 USD, not 711.74."""
        return floor_to(amount / rate, ONE)

    def cost_of(self, usd: Decimal, rate: Decimal) -> Decimal:
        """What so many USD cost in the currency at `rate`, unrounded."""
        return usd * rate

    def limit_at(self, rate: Decimal) -> Decimal:
        """The price on the tick of the pair that is not worse than `rate`."""
        return floor_to(rate, self.tick)


FUNDING = FundingPair(CAD, USD_CAD, Side.BUY, Decimal("0.00005"))
