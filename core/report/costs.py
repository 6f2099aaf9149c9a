"""What trading cost, order by order: against the mid and the spread when each was sent, and in commissions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.model import Currency, OrderRecord, RunResult, Side, Stage
from core.money import BPS, ZERO
from core.report.columns import commissions, slippage_bps


@dataclass(frozen=True, slots=True)
class OrderCost:
    """The cost of one order's fills, positive where money was lost; None is a figure that nobody knows."""

    record: OrderRecord

    @property
    def arrival_mid(self) -> Decimal | None:
        """The mid when the order was sent, in the contract's currency; none is known where it is 0."""
        return self.record.order.mid or None

    @property
    def notional_usd(self) -> Decimal:
        """USD traded; those that were bought in a conversion."""
        return self._usd(self.record.filled * (self.record.average_price or ZERO))

    @property
    def slippage_bps(self) -> Decimal | None:
        """How much worse than the mid the average fill was, in bps of the mid."""
        is_buy = self.record.order.side is Side.BUY
        return slippage_bps(self.record.average_price, self.arrival_mid, is_buy=is_buy)

    @property
    def slippage_usd(self) -> Decimal | None:
        """The same in USD, for all shares."""
        return self._of_notional(self.slippage_bps)

    @property
    def half_spread_bps(self) -> Decimal | None:
        """Half the spread when the order was sent: what crossing it at once would have cost, in bps of the mid."""
        mid, spread = self.arrival_mid, self.record.order.spread
        return None if mid is None or spread is None else spread / 2 / mid * BPS

    @property
    def half_spread_usd(self) -> Decimal | None:
        """The same in USD, for all shares."""
        return self._of_notional(self.half_spread_bps)

    @property
    def commissions(self) -> Mapping[Currency, Decimal] | None:
        """The commissions by currency; None while any is not known."""
        return commissions(self.record.fills)

    def _of_notional(self, bps: Decimal | None) -> Decimal | None:
        mid = self.arrival_mid
        return None if bps is None or mid is None else self._usd(bps / BPS * mid * self.record.filled)

    def _usd(self, amount: Decimal) -> Decimal:
        average = self.record.average_price
        # a conversion is priced in CAD per USD
        return amount / average if self.record.order.stage is Stage.FX and average else amount


def order_costs(outcome: RunResult) -> tuple[OrderCost, ...]:
    """The costs of every order with fills, in the order they were sent."""
    return tuple(OrderCost(record) for record in outcome.orders if record.filled)


@dataclass(frozen=True, slots=True)
class CostSum:
    """A cost over several orders: `usd` and `bps` of what those traded of which it is known, and of how many it is not.

    Both are None where it is known of no order.
    """

    usd: Decimal | None
    bps: Decimal | None
    unknown: int


def cost_sum(amounts: Sequence[Decimal | None], costs: Sequence[OrderCost]) -> CostSum:
    """The sum of `amounts`, in USD and one for each of `costs`."""
    known = [(amount, cost.notional_usd) for amount, cost in zip(amounts, costs, strict=True) if amount is not None]
    unknown = len(costs) - len(known)
    if not known:
        return CostSum(None, None, unknown)
    usd, traded = (sum(column, ZERO) for column in zip(*known, strict=True))
    return CostSum(usd, usd / traded * BPS if traded else None, unknown)


def commissions_sum(costs: Iterable[OrderCost]) -> Mapping[Currency, Decimal] | None:
    """All commissions by currency; None while one of any order is not known."""
    return commissions(fill for cost in costs for fill in cost.record.fills)
