"""The broker port: what the product requests of a broker, and what the broker may answer.

Every read is complete or raises; a failed read is never an empty answer. Time is the broker's:
`now`, `sleep` and the time-outs of `next_event` run on the venue's clock, which is virtual for the
fake, so that a 120 s time-out costs a rehearsal nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from core.model import (
    AccountId,
    AccountSnapshot,
    BrokerEvent,
    BrokerKind,
    CompletedOrder,
    Contract,
    Fill,
    MarginEffect,
    MarketDataType,
    Order,
    OrderRef,
    Quote,
    Symbol,
    WorkingOrder,
)


class Broker(Protocol):
    """A connection to one account's broker.

    Every call but `now`, `connect` and `disconnect` raises ConnectionLost when there is no connection;
    reads raise PacingExceeded when the broker's message limit was met. Orders at the broker outlive the connection.
    """

    @property
    def kind(self) -> BrokerKind: ...

    @property
    def port(self) -> int | None:
        """TCP port of the gateway, which distinguishes a paper account from a live one; None without one."""
        ...

    @property
    def is_connected(self) -> bool: ...

    @property
    def clock_gap(self) -> timedelta:
        """How far the venue's clock, which `now` follows, is ahead of this computer's; zero in a rehearsal.

        Known once connected; a gap of a few seconds counts as zero.
        """
        ...

    def now(self) -> datetime:
        """The venue's time, aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let venue time pass."""
        ...

    async def connect(self) -> None:
        """Open the connection. Raises ConnectionLost."""
        ...

    async def disconnect(self) -> None:
        """Close the connection, if there is one; orders stay at the broker."""
        ...

    async def accounts(self) -> tuple[AccountId, ...]:
        """The accounts that this gateway manages."""
        ...

    async def snapshot(self) -> AccountSnapshot:
        """The account, complete: values, cash, positions with contract details, working orders of all clients."""
        ...

    async def resolve(self, symbols: Sequence[Symbol], overrides: Mapping[Symbol, str]) -> Mapping[Symbol, Contract]:
        """The contract of each symbol: US-listed ETFs in USD, or USD.CAD on its FX venue.

        An override is a conId (digits) or an exchange name. Raises ContractNotFound naming every
        symbol that is unknown, ambiguous or not an ETF.
        """
        ...

    async def quotes(self, contracts: Sequence[Contract], *, is_snapshot: bool = False) -> Mapping[Symbol, Quote]:
        """A quote of each contract, present or not: a symbol without any value has a Quote of Nones.

        So has one whose data the broker refuses, or of which it knows no contract, with its words in `refusal`.
        """
        ...

    async def market_data_type(self, wanted: MarketDataType) -> None:
        """Ask for this type of market data from now on; each quote states the type it has."""
        ...

    async def place(self, order: Order) -> None:
        """Send the order, once. Returns when it has left; what becomes of it arrives as events.

        After ConnectionLost the order may have arrived or not.
        """
        ...

    async def what_if(self, order: Order) -> MarginEffect:
        """What the order would do to margin and equity, in the account's base currency; nothing is placed.

        Earlier what-if orders do not count. Raises why the order would be refused: FundsInsufficient where margin or
        cash is short, else OrderRejected, FractionRefused or ContractNotFound; NoAnswer where the broker does not
        answer, which concerns this order alone; and otherwise what every read raises.
        """
        ...

    async def cancel(self, ref: OrderRef) -> None:
        """Ask for a cancel. Only an OrderUpdate confirms it; fills may come first."""
        ...

    async def next_event(self, timeout_seconds: float) -> BrokerEvent | None:
        """The next event in order of arrival, or None when `timeout_seconds` of venue time passed without one."""
        ...

    async def open_orders(self) -> tuple[WorkingOrder, ...]:
        """Working orders of all clients."""
        ...

    async def completed_orders(self) -> tuple[CompletedOrder, ...]:
        """Orders that ended today."""
        ...

    async def executions(self) -> tuple[Fill, ...]:
        """Fills of today in this account, of all clients, with commissions as far as known."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """The version of the protocol that the gateway speaks, and whether each data farm that it named is connected."""

    version: int
    farms: Mapping[str, bool]


@runtime_checkable
class GatewayBroker(Protocol):
    """A broker behind a gateway, which the one in memory is not."""

    async def info(self) -> GatewayInfo:
        """What is known of the gateway once connected. Raises ConnectionLost."""
        ...


@runtime_checkable
class RehearsalBroker(Protocol):
    """A broker with a script of what happens at which point of a run, which a real broker does not have."""

    def reach(self, point: str) -> None:
        """Apply what the script has for this point of the run.

        Points are `approval` (just answered), `before_fx`, `before_sells` and `before_buys`.
        """
        ...
