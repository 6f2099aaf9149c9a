"""The account as one value, from the rows of one download; what is not complete is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.broker.errors import api_is_read_only, is_read_only, lost, unknown
from core.broker.ib import messages as heard
from core.broker.ib.contracts import NO_CONTRACT, ContractCache
from core.broker.ib.messages import HoldingRow, PositionRow, ValueRow
from core.broker.ib.orders import completed_order, working_orders
from core.broker.ib.requests import RequestRefused
from core.broker.ib.session import GatewaySession
from core.errors import RebalanceError, SafetyRefused
from core.model import AccountId, AccountSnapshot, CompletedOrder, Contract, Currency, Fill, Position, WorkingOrder
from core.money import ZERO, D, Money

BASE = "BASE"  # the broker's row of sums over all currencies
NET_LIQ = "NetLiquidation"
EXCESS = "ExcessLiquidity"
BUYING_POWER = "BuyingPower"
MAINTENANCE = "MaintMarginReq"
CASH = "CashBalance"
RATE = "ExchangeRate"
READY = "AccountReady"
NOT_READY = "the account is not ready at the broker, whose server is resetting (AccountReady is false)"
TOTALS = (NET_LIQ, EXCESS, BUYING_POWER, MAINTENANCE)

AGREE_TRIES = 3
AGREE_SECONDS = 1.0
READY_TRIES = 3
READY_SECONDS = 5.0
SNAPSHOT = "snapshot"
UNLISTED = "working orders are not known: the gateway's API is in Read-Only mode and does not list them"
EXECUTIONS = "executions"


@dataclass(frozen=True, slots=True)
class AccountLedger:
    """The figures of one account: totals in its base currency, balances and rates by currency."""

    base: Currency
    totals: Mapping[str, Decimal]
    cash: Mapping[Currency, Decimal]
    rates: Mapping[Currency, Decimal]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held, and the contract of each by conId."""

    rows: tuple[HoldingRow, ...]
    contracts: Mapping[int, Contract]


class AccountReader:
    """MarketReader one account over `session`. Each raises ConnectionLost or PacingExceeded."""

    def __init__(self, session: GatewaySession, catalogue: ContractCache) -> None:
        self._session = session
        self._catalogue = catalogue
        self._account = session.options.account_id

    async def snapshot(self) -> AccountSnapshot:
        """The account, complete at one moment."""
        session = self._session
        ledger_rows, holdings = await self._agreed()
        at = session.clock.now()
        ledger = ledger_of(ledger_rows)
        contracts = await self._catalogue.of_holdings(session, [row.named for row in holdings], SNAPSHOT)
        working, warnings = await self._working()
        found = compose(self._account, ledger, Holdings(holdings, contracts), working, at)
        return replace(found, warnings=warnings)

    async def base_currency(self) -> Currency:
        """The currency that the account is reckoned in."""
        values, _ = await self._ready()
        return ledger_of(values).base

    async def open_orders(self, what: str = heard.OPEN_ORDERS) -> tuple[WorkingOrder, ...]:
        """Working orders of all clients, as listed."""
        rows = await self._ask(heard.OPEN_ORDERS, self._session.line.ask_open_orders, what)
        return working_orders(rows, self._account)

    async def completed_orders(self) -> tuple[CompletedOrder, ...]:
        """Orders that ended today, as listed."""
        what = heard.COMPLETED_ORDERS
        rows = await self._ask(what, self._session.line.ask_completed_orders, what)
        return tuple(completed_order(row) for row in rows if row.account == self._account)

    async def executions(self) -> tuple[Fill, ...]:
        """Today's executions of all clients, in order of time."""
        line, account = self._session.line, self._account
        request = self._session.next_id()
        rows = await self._ask(request, lambda: line.ask_executions(request, account), EXECUTIONS)
        return self._session.dispatcher.fills.listed(rows)

    async def _working(self) -> tuple[tuple[WorkingOrder, ...], tuple[str, ...]]:
        """Working orders, and a warning instead where a client that only reads is not told of them."""
        try:
            return await self.open_orders(SNAPSHOT), ()
        except SafetyRefused:
            if not self._session.options.is_read_only:
                raise
            return (), (UNLISTED,)

    async def _agreed(self) -> tuple[list[heard.ValueRow], tuple[heard.HoldingRow, ...]]:
        """Figures and holdings, once the portfolio and the list of positions tell the same quantities."""
        told: list[str] = []
        for _ in range(AGREE_TRIES):
            values, holdings = await self._ready()
            told = disagreements(holdings, await self._positions())
            if not told:
                return values, holdings
            await self._session.clock.sleep(AGREE_SECONDS)
        raise lost(f"the account's portfolio and its positions disagree on {'; '.join(told)}")

    async def _ready(self) -> tuple[list[heard.ValueRow], tuple[heard.HoldingRow, ...]]:
        """Figures and holdings, once the broker calls the account ready."""
        for _ in range(READY_TRIES):
            values, holdings = await self._download()
            if is_ready(values):
                return values, holdings
            await self._session.clock.sleep(READY_SECONDS)
        raise lost(NOT_READY, next_step="wait some minutes, then run again")

    async def _download(self) -> tuple[list[heard.ValueRow], tuple[heard.HoldingRow, ...]]:
        session, account = self._session, self._account
        try:
            rows = await self._ask(heard.ACCOUNT, lambda: session.line.ask_account(account), SNAPSHOT)
        finally:
            # one account at a time may be subscribed, over all clients
            if session.is_up:
                await session.send(lambda: session.line.stop_account(account))
        mine = [row for row in rows if row.account == account]
        values = [row for row in mine if isinstance(row, heard.ValueRow)]
        return values, held(row for row in mine if isinstance(row, heard.HoldingRow))

    async def _positions(self) -> list[heard.PositionRow]:
        session = self._session
        rows: list[heard.PositionRow] = await self._ask(heard.POSITIONS, session.line.ask_positions, SNAPSHOT)
        await session.send(session.line.stop_positions)
        return [row for row in rows if row.account == self._account]

    async def _ask(self, key: heard.Key, message: Callable[[], None], what: str) -> list[Any]:
        try:
            return await self._session.ask(key, message, what)
        except RequestRefused as refusal:
            raise _refused(what, refusal) from None


def is_ready(rows: Iterable[ValueRow]) -> bool:
    """Whether the broker's figures are of use; while its server resets, they are anything."""
    return {row.tag: row.text for row in rows}.get(READY, "").lower() != "false"


def ledger_of(rows: Iterable[ValueRow]) -> AccountLedger:
    """The account's figures, the newest of each. Raises ConnectionLost naming what is missing."""
    values = {(row.tag, row.currency): number for row in rows if (number := _number(row.text)) is not None}
    bases = [currency for tag, currency in values if tag == NET_LIQ and currency not in ("", BASE)]
    if len(bases) != 1:
        raise lost(f"the gateway did not tell {NET_LIQ} in one currency")
    base = Currency(bases[0])
    cash, rates = _by_currency(values, CASH), _by_currency(values, RATE)
    missing = [tag for tag in TOTALS if (tag, base) not in values]
    missing += [f"{CASH} of {currency}" for currency in sorted({base} - set(cash))]
    missing += [f"{RATE} of {currency}" for currency in sorted(set(cash) - set(rates))]
    if missing:
        raise lost(f"the gateway did not tell {', '.join(missing)}")
    return AccountLedger(base, {tag: values[tag, base] for tag in TOTALS}, cash, rates)


def held(rows: Iterable[HoldingRow]) -> tuple[HoldingRow, ...]:
    """The newest row of each holding that is not empty, alphabetical."""
    newest = {row.named.con_id: row for row in rows}
    return tuple(sorted((row for row in newest.values() if row.quantity), key=lambda row: row.named.as_symbol))


def disagreements(holdings: Iterable[HoldingRow], positions: Iterable[PositionRow]) -> list[str]:
    """Where the two lists of what is held tell different quantities: `VTI: 10 and 13`. Currencies are the ledger's."""
    first, second = _quantities(holdings), _quantities(positions)
    both = ((key[0], first.get(key, ZERO), second.get(key, ZERO)) for key in sorted({*first, *second}))
    return [f"{symbol}: {one:f} and {other:f}" for symbol, one, other in both if one != other]


def _quantities(rows: Iterable[HoldingRow | PositionRow]) -> dict[tuple[str, int], Decimal]:
    named = ((row.named, row.quantity) for row in rows if row.named.security_type != "CASH")
    return {(each.as_symbol, each.con_id): quantity for each, quantity in named}


def compose(
    account_id: AccountId, ledger: AccountLedger, holdings: Holdings, working: tuple[WorkingOrder, ...], at: datetime
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
        positions=tuple(_position(row, holdings.contracts[row.named.con_id]) for row in holdings.rows),
        working_orders=working,
        taken_at=at,
    )


def _position(row: HoldingRow, contract: Contract) -> Position:
    return Position(contract, row.quantity, row.average_cost, row.price, row.value)


def _by_currency(values: Mapping[tuple[str, str], Decimal], wanted: str) -> dict[Currency, Decimal]:
    found = ((currency, number) for (tag, currency), number in values.items() if tag == wanted)
    return {Currency(currency): number for currency, number in found if currency not in ("", BASE)}


def _number(text: str) -> Decimal | None:
    try:
        return D(text)
    except ValueError:
        return None


def _refused(what: str, refusal: RequestRefused) -> RebalanceError:
    if is_read_only(refusal.text):
        return api_is_read_only(f"to tell the {what}")
    if refusal.code == NO_CONTRACT and what == SNAPSHOT:
        return unknown([refusal.text])
    return lost(f"the gateway refused to tell the {what}: {refusal}")
