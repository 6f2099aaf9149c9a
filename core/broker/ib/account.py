"""The account, its orders and executions, read over one session: complete, or an error that names what is missing.

The snapshot is one download of the account's values and portfolio, checked against the list of positions: right after
a fill either of the two may lag behind the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.broker.error_codes import NO_CONTRACT
from core.broker.errors import api_is_read_only, is_read_only, lost, unknown
from core.broker.ib import messages
from core.broker.ib.contracts import ContractCache
from core.broker.ib.messages import AccountValueRow, PortfolioRow, PositionRow
from core.broker.ib.orders import completed_order, working_orders
from core.broker.ib.requests import RequestRefused
from core.broker.ib.session import GatewaySession
from core.broker.ib.wrapper import figure
from core.errors import RebalanceError, SafetyRefused
from core.model import AccountId, AccountSnapshot, CompletedOrder, Contract, Currency, Fill, Position, WorkingOrder
from core.money import ZERO, Money

BASE = "BASE"  # in place of a currency, in rows that are sums over all currencies
NET_LIQ = "NetLiquidation"
EXCESS = "ExcessLiquidity"
BUYING_POWER = "BuyingPower"
MAINTENANCE = "MaintMarginReq"
CASH = "CashBalance"
RATE = "ExchangeRate"
READY = "AccountReady"
NOT_READY = "the account is not ready at the broker, whose server is resetting (AccountReady is false)"
TOTALS = (NET_LIQ, EXCESS, BUYING_POWER, MAINTENANCE)

# portfolio and positions are two subscriptions, which may be a moment apart
AGREE_TRIES = 3
AGREE_SECONDS = 1.0
# IBKR's servers reset nightly, in North America within 00:15-01:45 New York (its systemStatus page); a reset that
# takes long is left to the next run
READY_TRIES = 3
READY_SECONDS = 5.0
SNAPSHOT = "snapshot"
UNLISTED = "working orders are unknown: the gateway's API is in Read-Only mode and does not list them"
EXECUTIONS = "executions"


@dataclass(frozen=True, slots=True)
class AccountLedger:
    """The figures of one account: totals in its base currency, balances and rates by currency."""

    base: Currency
    totals: Mapping[str, Decimal]
    cash: Mapping[Currency, Decimal]
    rates: Mapping[Currency, Decimal]


@dataclass(frozen=True, slots=True)
class HeldContracts:
    """What is held, and the contract of each by conId."""

    rows: tuple[PortfolioRow, ...]
    contracts: Mapping[int, Contract]


class AccountReader:
    """Reads one account over `session`. Every read raises ConnectionLost or PacingExceeded."""

    def __init__(self, session: GatewaySession, contracts: ContractCache) -> None:
        self._session = session
        self._contracts = contracts
        self._account = session.options.account_id

    async def snapshot(self) -> AccountSnapshot:
        """The account, complete at one moment."""
        session = self._session
        ledger_rows, holdings = await self._agreed()
        at = session.clock.now()
        ledger = ledger_of(ledger_rows)
        contracts = await self._contracts.of_holdings(session, [row.contract for row in holdings], SNAPSHOT)
        working, warnings = await self._working()
        found = compose(self._account, ledger, HeldContracts(holdings, contracts), working, at)
        return replace(found, warnings=warnings)

    async def base_currency(self) -> Currency:
        """The account's base currency."""
        values, _ = await self._ready()
        return ledger_of(values).base

    async def open_orders(self, what: str = messages.OPEN_ORDERS) -> tuple[WorkingOrder, ...]:
        """Working orders of all clients, as listed. Raises SafetyRefused where the API is in Read-Only mode."""
        rows = await self._request(messages.OPEN_ORDERS, self._session.client.request_open_orders, what)
        return working_orders(rows, self._account)

    async def completed_orders(self) -> tuple[CompletedOrder, ...]:
        """Orders that ended today, as listed."""
        what = messages.COMPLETED_ORDERS
        rows = await self._request(what, self._session.client.request_completed_orders, what)
        return tuple(completed_order(row) for row in rows if row.account == self._account)

    async def executions(self) -> tuple[Fill, ...]:
        """Today's executions of all clients, in order of time."""
        client, account = self._session.client, self._account
        request_id = self._session.next_id()
        rows = await self._request(request_id, lambda: client.request_executions(request_id, account), EXECUTIONS)
        return self._session.dispatcher.fills.latest_of(rows)

    async def _working(self) -> tuple[tuple[WorkingOrder, ...], tuple[str, ...]]:
        """Working orders; a warning in their place where a read-only client may not list them."""
        try:
            return await self.open_orders(SNAPSHOT), ()
        except SafetyRefused:
            if not self._session.options.is_read_only:
                raise
            return (), (UNLISTED,)

    async def _agreed(self) -> tuple[list[AccountValueRow], tuple[PortfolioRow, ...]]:
        """Figures and holdings, once the portfolio and the list of positions agree on the quantities."""
        differences: list[str] = []
        for _ in range(AGREE_TRIES):
            values, holdings = await self._ready()
            differences = disagreements(holdings, await self._positions())
            if not differences:
                return values, holdings
            await self._session.clock.sleep(AGREE_SECONDS)
        raise lost(f"the account's portfolio and its positions disagree on {'; '.join(differences)}")

    async def _ready(self) -> tuple[list[AccountValueRow], tuple[PortfolioRow, ...]]:
        """Figures and holdings, once the broker reports the account as ready: its server resets every night."""
        for _ in range(READY_TRIES):
            values, holdings = await self._download()
            if is_ready(values):
                return values, holdings
            await self._session.clock.sleep(READY_SECONDS)
        raise lost(NOT_READY, next_step="wait a few minutes, then run again")

    async def _download(self) -> tuple[list[AccountValueRow], tuple[PortfolioRow, ...]]:
        session, account = self._session, self._account
        try:
            rows = await self._request(messages.ACCOUNT, lambda: session.client.request_account(account), SNAPSHOT)
        finally:
            # only one account at a time may be subscribed, over all clients of the gateway
            if session.is_up:
                await session.send(lambda: session.client.cancel_account(account))
        mine = [row for row in rows if row.account == account]
        values = [row for row in mine if isinstance(row, AccountValueRow)]
        return values, held(row for row in mine if isinstance(row, PortfolioRow))

    async def _positions(self) -> list[PositionRow]:
        session = self._session
        rows: list[PositionRow] = await self._request(messages.POSITIONS, session.client.request_positions, SNAPSHOT)
        await session.send(session.client.cancel_positions)
        return [row for row in rows if row.account == self._account]

    async def _request(self, key: messages.Key, transmit: Callable[[], None], what: str) -> list[Any]:
        try:
            return await self._session.request(key, transmit, what)
        except RequestRefused as refusal:
            raise _refused(what, refusal) from None


def is_ready(rows: Iterable[AccountValueRow]) -> bool:
    """Whether the broker's figures may be used; while its server resets they may be anything."""
    return {row.tag: row.text for row in rows}.get(READY, "").lower() != "false"


def ledger_of(rows: Iterable[AccountValueRow]) -> AccountLedger:
    """The account's figures, the newest of each. Raises ConnectionLost naming what is missing or unset."""
    newest = {(row.tag, row.currency): figure(row.text) for row in rows}
    values = {key: number for key, number in newest.items() if number is not None}
    bases = [currency for tag, currency in values if tag == NET_LIQ and currency not in ("", BASE)]
    if len(bases) != 1:
        raise lost(f"the gateway did not report {NET_LIQ} in one currency")
    base = Currency(bases[0])
    cash, rates = _by_currency(values, CASH), _by_currency(values, RATE)
    missing = [tag for tag in TOTALS if (tag, base) not in values]
    # a currency whose balance is unset is not one without money
    missing += [f"{CASH} of {currency}" for currency in sorted({base, *_currencies(newest, CASH)} - set(cash))]
    missing += [f"{RATE} of {currency}" for currency in sorted(set(cash) - set(rates))]
    if missing:
        raise lost(f"the gateway did not report {', '.join(missing)}")
    return AccountLedger(base, {tag: values[tag, base] for tag in TOTALS}, cash, rates)


def held(rows: Iterable[PortfolioRow]) -> tuple[PortfolioRow, ...]:
    """The newest row of each holding that is not empty, alphabetical."""
    newest = {row.contract.con_id: row for row in rows}
    return tuple(sorted((row for row in newest.values() if row.quantity), key=lambda row: row.contract.as_symbol))


def disagreements(holdings: Iterable[PortfolioRow], positions: Iterable[PositionRow]) -> list[str]:
    """Where portfolio and positions differ in quantity: `VTI: 10 and 13`. Currencies are left to the ledger."""
    first, second = _quantities(holdings), _quantities(positions)
    both = ((key[0], first.get(key, ZERO), second.get(key, ZERO)) for key in sorted({*first, *second}))
    return [f"{symbol}: {one:f} and {other:f}" for symbol, one, other in both if one != other]


def _quantities(rows: Iterable[PortfolioRow | PositionRow]) -> dict[tuple[str, int], Decimal]:
    each_held = ((row.contract, row.quantity) for row in rows if row.contract.security_type != "CASH")
    return {(each.as_symbol, each.con_id): quantity for each, quantity in each_held}


def compose(
    account_id: AccountId,
    ledger: AccountLedger,
    holdings: HeldContracts,
    working: tuple[WorkingOrder, ...],
    at: datetime,
) -> AccountSnapshot:
    """The snapshot of these parts."""
    return AccountSnapshot(
        account_id=account_id,
        base_currency=ledger.base,
        net_liq=Money(ledger.totals[NET_LIQ], ledger.base),
        excess_liquidity=Money(ledger.totals[EXCESS], ledger.base),
        buying_power=Money(ledger.totals[BUYING_POWER], ledger.base),
        maintenance_margin=Money(ledger.totals[MAINTENANCE], ledger.base),
        cash=ledger.cash,
        rates=ledger.rates,
        positions=tuple(
            Position(holdings.contracts[row.contract.con_id], row.quantity, row.average_cost, row.price, row.value)
            for row in holdings.rows
        ),
        working_orders=working,
        taken_at=at,
    )


def _by_currency(values: Mapping[tuple[str, str], Decimal], wanted: str) -> dict[Currency, Decimal]:
    return {currency: values[wanted, currency] for currency in _currencies(values, wanted)}


def _currencies(reported: Iterable[tuple[str, str]], wanted: str) -> list[Currency]:
    """The currencies in which this figure is reported, apart from the sum over all."""
    return [Currency(currency) for tag, currency in reported if tag == wanted and currency not in ("", BASE)]


def _refused(what: str, refusal: RequestRefused) -> RebalanceError:
    if is_read_only(refusal.text):
        return api_is_read_only(f"to report the {what}")
    if refusal.code == NO_CONTRACT and what == SNAPSHOT:
        return unknown([refusal.text])
    return lost(f"the gateway refused to report the {what}: {refusal}")
