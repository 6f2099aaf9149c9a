"""The account as the broker reports it, complete at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.model.market import Contract
from core.model.types import AccountId, Currency, OrderRef, OrderType, SecurityType, Side, Symbol
from core.money import Money


@dataclass(frozen=True, slots=True)
class Position:
    """Shares of one contract in the account.

    `quantity` is in shares, negative for a short position. `average_cost` and `market_price` are per share and
    `market_value` for all of them, each in the contract's currency and by the broker's own mark; None is a figure
    that the broker does not give, as right after its nightly reset.
    """

    contract: Contract
    quantity: Decimal
    average_cost: Decimal | None
    market_price: Decimal | None
    market_value: Decimal | None


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """An order that may still fill at the broker, whoever sent it.

    `order_ref` is empty for one entered by hand. `quantity` and `filled` are in shares (in USD for USD.CAD),
    `limit_price` is in the contract's currency, None for a market order. `perm_id` is the broker's own number of it,
    0 where it gave none.
    """

    order_ref: OrderRef
    symbol: Symbol
    side: Side
    quantity: Decimal
    filled: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    perm_id: int = 0


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an account held at `taken_at`: shares of each symbol, and the ledger's balance of each currency."""

    positions: Mapping[Symbol, Decimal]
    cash: Mapping[Currency, Decimal]
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """Everything the plan needs of an account at `taken_at`; a part that could not be read is an error, not a gap here.

    `net_liq`, `excess_liquidity`, `buying_power` and `maintenance_margin` are in the account's base
    currency. `cash` is the ledger's balance of each currency, in that currency. `rates` are what one unit of a
    currency is worth in the base currency, by the account's own books (the base itself is 1). `warnings` name
    what the broker does not show to a client that sends no orders.
    """

    account_id: AccountId
    base_currency: Currency
    net_liq: Money
    excess_liquidity: Money
    buying_power: Money
    maintenance_margin: Money
    cash: Mapping[Currency, Decimal]
    rates: Mapping[Currency, Decimal]
    positions: tuple[Position, ...]
    working_orders: tuple[WorkingOrder, ...]
    taken_at: datetime
    warnings: tuple[str, ...] = ()

    @property
    def left_alone(self) -> tuple[str, ...]:
        """A line for each working order, for a run that sends no orders and cancels none."""
        return tuple(
            f"working order left alone: {order.side} {order.quantity:,f} {order.symbol} {order.order_ref}".strip()
            for order in self.working_orders
        )

    @property
    def holdings(self) -> Holdings:
        """The shares and the cash alone; a virtual FX position is the shadow of a conversion and no holding."""
        held: dict[Symbol, Decimal] = {}
        for position in self.positions:
            contract = position.contract
            if contract.security_type is not SecurityType.CASH:
                held[contract.symbol] = held.get(contract.symbol, Decimal(0)) + position.quantity
        return Holdings(held, dict(self.cash), self.taken_at)


@dataclass(frozen=True, slots=True)
class MarginChange:
    """A figure of the account before an order, and by how much the order would change it, both in its base currency."""

    before: Decimal
    change: Decimal

    @property
    def after(self) -> Decimal:
        return self.before + self.change


@dataclass(frozen=True, slots=True)
class MarginEffect:
    """What one order would do to the account by the broker's own calculation, in the base `currency`, to the cent.

    Equity with loan less the initial margin is what new orders may use (available funds), less the maintenance
    margin what keeps the account from liquidation (excess liquidity). `commission` is the broker's estimate in
    `commission_currency`, None where it gives none.
    """

    currency: Currency
    initial_margin: MarginChange
    maintenance_margin: MarginChange
    equity_with_loan: MarginChange
    commission: Decimal | None = None
    commission_currency: Currency | None = None
