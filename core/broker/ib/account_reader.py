"""MarketReader of the account and its orders over one session: complete, or an error that says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core.broker.errors import api_is_read_only, is_read_only, lost, unknown
from core.broker.ib import messages as heard
from core.broker.ib.account import NOT_READY, Holdings, compose, disagreements, held, is_ready, ledger_of
from core.broker.ib.contracts import NO_CONTRACT, ContractCache
from core.broker.ib.lists import completed_order, working_orders
from core.broker.ib.requests import RequestRefused
from core.broker.ib.session import GatewaySession
from core.errors import RebalanceError, SafetyRefused
from core.model import AccountSnapshot, CompletedOrder, Currency, Fill, WorkingOrder

AGREE_TRIES = 3
AGREE_SECONDS = 1.0
READY_TRIES = 3
READY_SECONDS = 5.0
SNAPSHOT = "snapshot"
UNLISTED = "working orders are not known: the gateway's API is in Read-Only mode and does not list them"
EXECUTIONS = "executions"


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


def _refused(what: str, refusal: RequestRefused) -> RebalanceError:
    if is_read_only(refusal.text):
        return api_is_read_only(f"to tell the {what}")
    if refusal.code == NO_CONTRACT and what == SNAPSHOT:
        return unknown([refusal.text])
    return lost(f"the gateway refused to tell the {what}: {refusal}")
