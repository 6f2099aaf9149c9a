"""The simulated exchange: one account, its orders and its market, moved only by `advance_to` and `move`.

Orders live here, whatever happens to the clients that sent them. The same world and the same calls give the
same reports, byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.market.hours import TradingSession
from core.model import (
    NEW_YORK,
    USD,
    AccountSnapshot,
    BrokerEvent,
    CommissionReport,
    CompletedOrder,
    Fill,
    MarginEffect,
    Notice,
    Order,
    OrderState,
    Quote,
    SecurityType,
    Symbol,
    WorkingOrder,
)
from core.money import ZERO
from core.sim.venue.checks import STOPPED_BY_PRESETS, refusal_of, refuse_change, refuse_effect, refuse_form
from core.sim.venue.contracts import CURRENCY_VENUES, list_contracts
from core.sim.venue.ledger import Ledger
from core.sim.venue.margin import Situation, margin_effect
from core.sim.venue.matching import in_parts, market_price, scripted_part, scripted_price
from core.sim.venue.orders import (
    Refusal,
    Report,
    VenueOrder,
    VenueTerms,
    audit_order,
    corrected,
    find_execution,
    terms_before,
    terms_of,
)
from core.sim.venue.sessions import GATEWAY_ZONE, HoursOf, Sessions
from core.sim.venue.timers import Timers
from core.sim.venue.views import show_account, show_quote
from core.sim.venue.world import Change, FillScript, SimOrder, SimQuote, World

FIRST_PERM_ID = 1_000_001  # far from any order id, so that mixing the two up shows
TRADING_CLIENT = 42
BY_HAND = 0


class Exchange:
    """A venue with one account; the world's earlier orders of our own belong to `trading_client`.

    Orders and executions are numbered from `first_perm_id` on.
    """

    def __init__(
        self,
        world: World,
        hours_of: HoursOf,
        *,
        trading_client: int = TRADING_CLIENT,
        first_perm_id: int = FIRST_PERM_ID,
    ) -> None:
        self.world = world
        self._first_perm_id = first_perm_id
        self.now = world.as_of.astimezone(UTC)
        self.ledger = Ledger(world)
        self.quotes: dict[Symbol, SimQuote] = dict(world.quotes)
        self.orders: dict[int, VenueOrder] = {}
        self._timers = Timers()
        self._sessions = Sessions(hours_of)
        self.contracts = list_contracts(world, self._sessions, self.now.astimezone(NEW_YORK).date())
        for order in world.account.open_orders:
            self._seed(order, trading_client if order.is_ours else BY_HAND)

    def submit(self, order: Order, *, client_id: int, refusal: Refusal | None = None) -> tuple[Report, ...]:
        """What happens at once to an order that arrives; `refusal` is a scripted reason to refuse it.

        The same reference twice is two orders: IBKR does not check references for repetition.
        """
        placed = self._arrived(order, client_id)
        if placed is None:
            return ()
        # an unknown contract comes before the script: a real gateway finds it before the order reaches a market
        refusal = self._unknown(order) or refusal or self._refusal(order, placed)
        if refusal and refusal.code in STOPPED_BY_PRESETS:
            return (_report(placed, placed.keep_back(self.now, refusal)),)
        return self._reject(placed, refusal) if refusal else self._accept(placed)

    def hold(self, order: Order, *, client_id: int) -> tuple[Report, ...]:
        """Keep an order that its sender has not released (transmit = 0); only faults of its form are refused now."""
        placed = self._arrived(order, client_id)
        if placed is None:
            return ()
        placed.is_held, placed.state = True, OrderState.SENT
        refusal = self._unknown(order) or refuse_form(self._listed(order), self.world.account.id)
        return self._reject(placed, refusal) if refusal else (_report(placed, placed.update(self.now)),)

    def modify(self, perm_id: int, order: Order, *, is_held: bool = False) -> tuple[Report, ...]:
        """Change an open order to this size, type and limit; one that was held is released.

        A refused change leaves a working order as it was; its report has a code. Reference, hours and script stay.
        With `is_held` a held order stays held, and a working one as it was.
        """
        placed = self.orders[perm_id]
        if not placed.is_open:
            refusal: Refusal | None = refusal_of(104, f"the order is {placed.state.label} already")
        else:
            refusal = refuse_change(order, placed) or self._refusal(order, placed, is_held=is_held)
        if refusal and placed.is_held:
            return self._reject(placed, refusal)
        if refusal or (is_held and not placed.is_held):
            return (_report(placed, placed.update(self.now, refusal)),)
        old = placed.terms
        placed.terms = replace(terms_of(order, old.contract), order_ref=old.order_ref, outside_rth=old.outside_rth)
        if placed.is_held and not is_held:
            placed.is_held, placed.state = False, OrderState.WORKING
            return self._accept(placed)
        changed = _report(placed, placed.update(self.now))
        return changed, *(() if placed.script or placed.is_held else self._match(placed))

    def what_if(self, order: Order) -> MarginEffect | Refusal | None:
        """What the order would do to the margin, or why it would be refused, or no answer; nothing changes."""
        contract = self._listed(order).contract
        script = self.world.fills.get(contract.symbol, FillScript())
        placed = VenueOrder(0, BY_HAND, terms_of(order, contract), replace(script, reject=script.what_if_reject))
        if script.what_if_unanswered:
            return None
        refusal = self._unknown(order) or self._refusal(order, placed)
        return refusal or margin_effect(placed.terms, self._situation(placed))

    def cancel(self, perm_id: int) -> tuple[Report, ...]:
        """Cancel an order: confirmed at once; for an order that has ended, its end is reported again (10148)."""
        placed = self.orders[perm_id]
        if not placed.is_open:
            reason = f"the order that needs to be cancelled is {placed.state.label} already"
            return (_report(placed, replace(placed.update(self.now), code=10148, reason=reason)),)
        # two reports, as a gateway sends PendingCancel and then Cancelled with 202
        placed.state = OrderState.CANCELLING
        requested = _report(placed, placed.update(self.now))
        placed.code, placed.reason = 202, "Order Canceled"
        return requested, self._end(placed, OrderState.CANCELLED)

    def cancel_all(self) -> tuple[Report, ...]:
        """Every open order of every client ends, in order of arrival."""
        return tuple(report for placed in self._timers for report in self.cancel(placed.perm_id))

    def correct(self, exec_id: str, shares: Decimal, price: Decimal) -> tuple[Report, ...]:
        """Replace an execution by its next revision, in the ledger as if it had been so from the beginning.

        FILLED always means all of an order: one that ended with more or with less becomes FILLED or CANCELLED.
        Raises KeyError for an unknown execution, ValueError for shares that its order cannot have had.
        """
        placed, number = find_execution(self.orders.values(), exec_id)
        old = placed.fills[number]
        if not ZERO < shares <= placed.open_quantity + old.shares:
            raise ValueError(f"{exec_id} cannot have been {shares} shares of {placed.terms.quantity}")
        new = corrected(old, shares, price)
        self.ledger.correct(placed.terms.contract, old, new)
        placed.filled += shares - old.shares
        placed.fills[number], placed.limits[number] = new, None
        shown = replace(new, commission=None, commission_currency=None)
        paid = CommissionReport(new.exec_id, old.commission or ZERO, USD)
        reports = _report(placed, shown), _report(placed, paid)
        return reports if shares == old.shares else (*reports, self._end(placed, placed.state_by_count))

    def next_event_at(self) -> datetime | None:
        """When time alone will make something happen next."""
        return self._timers.next_at()

    def advance_to(self, at: datetime) -> tuple[Report, ...]:
        """Everything that happens until `at`, in order of time, then of arrival; time never goes back."""
        reports: list[Report] = []
        while (due := self.next_event_at()) is not None and due <= at:
            # an alarm in the past happens now: time never goes back
            self.now = max(self.now, due)
            for placed in self._timers.take_due(self.now):
                reports += self._wake(placed)
        self.now = max(self.now, at)
        return tuple(reports)

    def move(self, change: Change) -> tuple[Report, ...]:
        """Apply the change; orders whose limits the market now reaches fill."""
        for symbol, quote in change.quotes.items():
            before = self.quotes.get(symbol, SimQuote())
            # a tick belongs to the contract: a quote without one does not change it
            self.quotes[symbol] = replace(quote, min_tick=quote.min_tick or before.min_tick)
        for position in change.positions:
            self.ledger.set_position(position)
        for currency, amount in change.cash.items():
            self.ledger.set_cash(currency, amount)
        reports: list[Report] = []
        for placed in self._timers:
            if placed.is_working and not placed.script and placed.terms.contract.symbol in change.quotes:
                reports += self._match(placed)
        return tuple(reports)

    def quote(self, symbol: Symbol, *, is_snapshot: bool = False) -> Quote:
        """The answer to a request for the symbol's quote now; a quote of Nones where there is none."""
        return show_quote(symbol, self.quotes.get(symbol, SimQuote()), self.now, is_snapshot=is_snapshot)

    def snapshot(self) -> AccountSnapshot:
        """The account, with figures down to the cent."""
        market = self.contracts, self.quotes
        return show_account(self.world.account, self.ledger, market, self.working(), self.now)

    def working(self) -> tuple[WorkingOrder, ...]:
        """Working orders of all clients, in order of arrival."""
        return tuple(placed.as_working() for placed in self._timers if placed.is_working)

    def open_to(self, client_id: int) -> tuple[VenueOrder, ...]:
        """What this client sees of all clients' open orders, in order of arrival: held ones are its own."""
        return tuple(one for one in self._timers if one.is_working or one.client_id == client_id)

    def completed(self) -> tuple[CompletedOrder, ...]:
        """Orders that ended, in order of arrival."""
        return tuple(placed.as_completed() for placed in self.orders.values() if not placed.is_open)

    def executions(self) -> tuple[Fill, ...]:
        """Fills of all clients with their commissions, in order of time."""
        fills = [fill for placed in self.orders.values() for fill in placed.fills]
        return tuple(sorted(fills, key=lambda fill: (fill.at, fill.exec_id)))

    def audit(self) -> None:
        """Raises ArithmeticError unless ledger, fills and orders agree to the last digit."""
        self.ledger.audit()
        for placed in self.orders.values():
            audit_order(placed)

    def _next_id(self) -> int:
        return self._first_perm_id + len(self.orders)

    def _open(self, placed: VenueOrder) -> VenueOrder:
        self.orders[placed.perm_id] = placed
        self._timers.note(placed)
        return placed

    def _seed(self, order: SimOrder, client_id: int) -> None:
        terms = terms_before(order, self.contracts[order.symbol])
        placed = VenueOrder(self._next_id(), client_id, terms, filled=order.filled, filled_before=order.filled)
        session = self._session(terms)
        placed.expires = session[1] if session else None
        self._open(placed)

    def _arrived(self, order: Order, client_id: int) -> VenueOrder | None:
        """The order as the exchange keeps it; None for one that the script loses."""
        contract = self._listed(order).contract
        script = self.world.fills.get(contract.symbol)
        if script and script.is_lost:
            return None
        return self._open(VenueOrder(self._next_id(), client_id, terms_of(order, contract), script))

    def _listed(self, order: Order) -> Order:
        """The order on the exchange's own contract."""
        return replace(order, contract=self.contracts.get(order.contract.symbol, order.contract))

    def _unknown(self, order: Order) -> Refusal | None:
        listed = self.contracts.get(order.contract.symbol)
        is_pair = listed is not None and listed.security_type is SecurityType.CASH
        is_elsewhere = is_pair and order.contract.exchange not in CURRENCY_VENUES
        return refusal_of(200) if listed is None or is_elsewhere else None

    def _refusal(self, order: Order, placed: VenueOrder, *, is_held: bool = False) -> Refusal | None:
        """Why `placed` may not become this order; of one that is held only the form is checked."""
        listed = self._listed(order)
        form = refuse_form(listed, self.world.account.id)
        if is_held:
            return form
        if placed.script and placed.script.reject is not None:
            return refusal_of(placed.script.reject)
        # of a change only what has not filled yet takes margin, shares or currency
        wanted = replace(terms_of(listed, listed.contract), quantity=order.quantity - placed.filled)
        return form or refuse_effect(wanted, self._situation(placed))

    def _situation(self, besides: VenueOrder) -> Situation:
        working = [one for one in self._timers if one.is_working and one is not besides]
        return Situation(self.world, self.ledger, self.quotes, working)

    def _session(self, terms: VenueTerms) -> TradingSession | None:
        is_fx = terms.contract.security_type is SecurityType.CASH
        return self._sessions.session(self.now, is_fx=is_fx, is_extended=terms.outside_rth)

    def _accept(self, placed: VenueOrder) -> tuple[Report, ...]:
        reports = [_report(placed, placed.update(self.now))]
        session = self._session(placed.terms)
        if session is None or session[0] > self.now:
            text = _held_until(placed.terms, session)
            reports.append(_report(placed, Notice(text, self.now, 399, placed.terms.order_ref)))
        if session is None:
            return tuple(reports)
        delay = placed.script.delay_seconds if placed.script else ZERO
        placed.due = max(session[0], self.now) + timedelta(seconds=float(delay))
        placed.expires = session[1]
        if placed.due <= self.now:
            return (*reports, *self._wake(placed))
        self._timers.note(placed)
        return tuple(reports)

    def _reject(self, placed: VenueOrder, refusal: Refusal) -> tuple[Report, ...]:
        placed.code, placed.reason, placed.reject_reason = refusal.code, refusal.text, refusal.reject_reason
        return (self._end(placed, OrderState.REJECTED),)

    def _wake(self, placed: VenueOrder) -> tuple[Report, ...]:
        if placed.expires is not None and placed.expires <= self.now:
            placed.reason = "the day of the order is over"
            return (self._end(placed, OrderState.EXPIRED),)
        placed.due = None
        self._timers.note(placed)
        return self._match(placed)

    def _match(self, placed: VenueOrder) -> tuple[Report, ...]:
        terms, script = placed.terms, placed.script
        if placed.due is not None:
            return ()
        quote = self.quotes.get(terms.contract.symbol, SimQuote())
        if script:
            price = scripted_price(terms.side, terms.limit_price, quote, script)
            parts = in_parts(scripted_part(terms.quantity, script), script)
        else:
            price = market_price(terms.side, terms.limit_price, quote)
            parts = (placed.open_quantity,)
        if price is None:
            return ()
        return tuple(report for shares in parts if shares for report in self._fill(placed, shares, price))

    def _fill(self, placed: VenueOrder, shares: Decimal, price: Decimal) -> tuple[Report, ...]:
        terms = placed.terms
        fill = placed.next_fill(shares, price, self.now)
        # the commission is per order, not per execution; IBKR's tiers are not simulated
        cost = ZERO if placed.fills else self.world.commission
        self.ledger.fill(terms.contract, terms.side, shares, price)
        self.ledger.charge(cost)
        placed.filled += shares
        placed.fills.append(replace(fill, commission=cost, commission_currency=USD))
        placed.limits.append(terms.limit_price)
        reports = (
            _report(placed, fill),
            _report(placed, CommissionReport(fill.exec_id, cost, USD)),
        )
        if placed.open_quantity:
            return (*reports, _report(placed, placed.update(self.now)))
        return (*reports, self._end(placed, OrderState.FILLED))

    def _end(self, placed: VenueOrder, state: OrderState) -> Report:
        placed.state = state
        self._timers.note(placed)
        return _report(placed, placed.update(self.now))


def _held_until(terms: VenueTerms, session: TradingSession | None) -> str:
    """The broker's text for an order that waits for its market to open."""
    opens = f"{session[0].astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S} {GATEWAY_ZONE}" if session else "its market opens"
    what = f"{terms.side} {terms.quantity.normalize():f} {terms.contract.symbol} {terms.contract.primary_exchange}"
    return f"Order Message: {what} Warning: Your order will not be placed at the exchange until {opens}."


def _report(placed: VenueOrder, event: BrokerEvent) -> Report:
    return Report(placed.perm_id, placed.client_id, event)
