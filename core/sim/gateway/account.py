"""Requests for the account: values, holdings, summary, profit and loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.model import AccountId
from core.money import ZERO
from core.sim.gateway.account_view import AccountView
from core.sim.gateway.faults import NO_SUBJECT, Subject
from core.sim.gateway.state import ClientSession, GatewayState, ManagedAccount, Watcher
from core.sim.venue.world import Point
from core.sim.wire import account as wire_account
from core.sim.wire import requests
from core.sim.wire.account import HoldingFields, ProfitFields, ValueFields
from core.sim.wire.fields import Fields

LEDGER = "$LEDGER"
UPDATES = ("updates", 0)
POSITIONS = ("positions", 0)
MULTI = "multi"
SUMMARY = "summary"
PROFIT = "profit"
PROFIT_SINGLE = "profit of one"
TOO_MANY = "Error validating request: too many subscriptions"
FOREIGN = "Error validating request: invalid account"
NO_ACCOUNT = "Error validating request: the account code is required for this operation"

ValueLine = Callable[[AccountId, ValueFields], Fields]


def request_account_updates(
    state: GatewayState, session: ClientSession, request: requests.RequestAccountUpdates
) -> None:
    """Send the whole account and its end, then what changes; or stop doing so."""
    account = _requested(state, session, request.account, NO_SUBJECT)
    if account is None:
        return
    # only one account at a time may be subscribed: another takes the place of the first
    session.watchers.pop(UPDATES, None)
    if not request.is_subscribed:
        return
    fault = state.scripted_faults.at_read(Point.SNAPSHOT)
    if fault.breaks:
        session.sink.close("as scripted: snapshot")
    elif fault.code:
        session.send_error(NO_SUBJECT, fault.code)
    elif _watch(state, session, UPDATES, Watcher((account,), _AccountDownload(state, session))):
        session.send(wire_account.account_download_end(account.id))


def request_account_updates_multi(
    state: GatewayState, session: ClientSession, request: requests.RequestAccountUpdatesMulti
) -> None:
    """Send the figures under the number of the request, then what changes."""
    req_id = request.req_id
    account = _requested(state, session, request.account, Subject(req_id))
    if account is None:
        return
    line = partial(wire_account.account_update_multi, req_id)
    tags = frozenset({LEDGER, "NetLiquidation"}) if request.is_ledger_only else None
    if _watch(state, session, (MULTI, req_id), Watcher((account,), _ValueUpdates(session, line, tags))):
        session.send(wire_account.account_update_multi_end(req_id))


def cancel_account_updates_multi(
    _state: GatewayState, session: ClientSession, request: requests.CancelAccountUpdatesMulti
) -> None:
    session.watchers.pop((MULTI, request.req_id), None)


def request_account_summary(
    state: GatewayState, session: ClientSession, request: requests.RequestAccountSummary
) -> None:
    """Send the figures of these tags of every account; a third summary at a time is refused with 322."""
    req_id = request.req_id
    # the limit of two is IBKR's own; the same id again replaces its summary
    running = [key for key in session.watchers if key[0] == SUMMARY and key[1] != req_id]
    if len(running) >= state.options.limits.summaries:
        session.send_error(Subject(req_id), 322)
        return
    line = partial(wire_account.account_summary, req_id)
    tags = frozenset(tag.partition(":")[0] for tag in request.tags)
    if _watch(state, session, (SUMMARY, req_id), Watcher(state.all_accounts, _ValueUpdates(session, line, tags))):
        session.send(wire_account.account_summary_end(req_id))


def cancel_account_summary(
    _state: GatewayState, session: ClientSession, request: requests.CancelAccountSummary
) -> None:
    session.watchers.pop((SUMMARY, request.req_id), None)


def request_positions(state: GatewayState, session: ClientSession, _request: requests.RequestPositions) -> None:
    """Send the holdings of every account and their end, then what changes."""
    updates = _PositionUpdates(session, wire_account.position)
    if _watch(state, session, POSITIONS, Watcher(state.all_accounts, updates)):
        session.send(wire_account.position_end())


def cancel_positions(_state: GatewayState, session: ClientSession, _request: requests.CancelPositions) -> None:
    session.watchers.pop(POSITIONS, None)


def request_pnl(state: GatewayState, session: ClientSession, request: requests.RequestPnl) -> None:
    """Send profit and loss of the account; the day's is unset, for the venue does not keep it."""
    account = _requested(state, session, request.account, Subject(request.req_id))
    if account is None:
        return

    def send(account_view: AccountView) -> None:
        unrealized = sum((held.unrealized for held in account_view.holdings), ZERO)
        session.send(wire_account.pnl(request.req_id, ProfitFields(None, unrealized, ZERO)), Subject(request.req_id))

    _watch(state, session, (PROFIT, request.req_id), Watcher((account,), send))


def cancel_pnl(_state: GatewayState, session: ClientSession, request: requests.CancelPnl) -> None:
    session.watchers.pop((PROFIT, request.req_id), None)


def request_pnl_single(state: GatewayState, session: ClientSession, request: requests.RequestPnlSingle) -> None:
    """Send profit and loss of one holding; all is zero for a contract that is not held."""
    account = _requested(state, session, request.account, Subject(request.req_id))
    if account is None:
        return

    def send(account_view: AccountView) -> None:
        held = [one for one in account_view.holdings if one.contract.con_id == request.con_id]
        quantity = sum((one.quantity for one in held), ZERO)
        value = sum((one.market_value or ZERO for one in held), ZERO)
        profit = ProfitFields(None, sum((one.unrealized for one in held), ZERO), ZERO)
        session.send(wire_account.pnl_single(request.req_id, quantity, profit, value), Subject(request.req_id))

    _watch(state, session, (PROFIT_SINGLE, request.req_id), Watcher((account,), send))


def cancel_pnl_single(_state: GatewayState, session: ClientSession, request: requests.CancelPnlSingle) -> None:
    session.watchers.pop((PROFIT_SINGLE, request.req_id), None)


class _ValueUpdates:
    """Sends the figures that were requested and have changed; the tag $LEDGER stands for all of the ledger's."""

    def __init__(self, session: ClientSession, line: ValueLine, tags: frozenset[str] | None = None) -> None:
        self._session = session
        self._line = line
        self._tags = tags
        self._sent: dict[tuple[AccountId, str, str], str] = {}

    def __call__(self, account_view: AccountView) -> None:
        for value in account_view.totals:
            if self._tags is None or value.tag in self._tags:
                self._send(account_view.account_id, value)
        for value in account_view.ledger:
            if self._tags is None or LEDGER in self._tags:
                self._send(account_view.account_id, value)

    def _send(self, account_id: AccountId, value: ValueFields) -> None:
        key = account_id, value.tag, value.currency
        if self._sent.get(key) != value.value:
            self._sent[key] = value.value
            self._session.send(self._line(account_id, value))


class _PositionUpdates:
    """Sends the holdings that have changed; one that was sold as a holding of 0."""

    def __init__(self, session: ClientSession, line: Callable[[HoldingFields], Fields]) -> None:
        self._session = session
        self._line = line
        self._sent: dict[tuple[AccountId, int], HoldingFields] = {}

    def __call__(self, account_view: AccountView) -> None:
        account_id = account_view.account_id
        held = {(account_id, one.contract.con_id): one for one in account_view.holdings}
        before = {key: old for key, old in self._sent.items() if key[0] == account_id}
        # a gateway sends a position that was closed once more, with 0; clients rely on it
        closed = {key: _emptied(old) for key, old in before.items() if key not in held}
        for key, holding in {**held, **closed}.items():
            if before.get(key) != holding:
                self._sent[key] = holding
                self._session.send(self._line(holding), Subject(symbol=holding.contract.local_symbol))


class _AccountDownload:
    """Sends the account's figures, holdings and their time."""

    def __init__(self, state: GatewayState, session: ClientSession) -> None:
        self._state = state
        self._session = session
        self._figures = _ValueUpdates(session, wire_account.account_value)
        self._holdings = _PositionUpdates(session, wire_account.portfolio)

    def __call__(self, account_view: AccountView) -> None:
        self._figures(account_view)
        self._holdings(account_view)
        self._session.send(wire_account.account_time(self._state.now()))


def _watch(state: GatewayState, session: ClientSession, key: tuple[str, int], watcher: Watcher) -> bool:
    """Send now, and again whenever the account changes; False where the client has too many subscriptions already."""
    if key not in session.watchers and len(session.watchers) >= state.options.limits.subscriptions:
        session.send_error(Subject(key[1] or NO_SUBJECT.id), 321, TOO_MANY)
        return False
    session.watchers[key] = watcher
    for account in watcher.accounts:
        watcher.send(account.view())
    return True


def _requested(state: GatewayState, session: ClientSession, account_id: str, subject: Subject) -> ManagedAccount | None:
    """The account that a request names, or the only one; None, with an error sent, where there is none."""
    account = state.account_named(account_id)
    if account is None:
        session.send_error(subject, 321, FOREIGN if account_id else NO_ACCOUNT)
    return account


def _emptied(holding: HoldingFields) -> HoldingFields:
    return HoldingFields(holding.account, holding.contract, ZERO, ZERO, holding.market_price)
