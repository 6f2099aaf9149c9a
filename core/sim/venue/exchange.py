"""The simulated exchange: one account, its orders and its market, moved only by being told the time.

Orders live here, whatever happens to whoever sent them. The same world and the same calls give the
same reports, byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

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
    Terms,
    VenueOrder,
    audit_ticket,
    corrected,
    find_execution,
    terms_before,
    terms_of,
)
from core.sim.venue.sessions import GATEWAY_ZONE, ClientSession, HoursOf, Sessions
from core.sim.venue.timers import Timers
from core.sim.venue.views import show_account, show_quote
from core.sim.venue.world import Change, FillScript, SimOrder, SimQuote, World

FIRST_PERM_ID = 1_000_001
TRADING_CLIENT = 42
BY_HAND = 0


class Exchange:
    """A venue with one account; `trading_client` is whose the world's own earlier orders are."""

    def __init__(self, world: World, hours_of: HoursOf, *, trading_client: int = TRADING_CLIENT) -> None:
        self.world = world
        self.now = world.as_of.astimezone(UTC)
        self.ledger = Ledger(world)
        self.quotes: dict[Symbol, SimQuote] = dict(world.quotes)
        self.tickets: dict[int, VenueOrder] = {}
        self._timers = Timers()
        self._sessions = Sessions(hours_of)
        self.contracts = list_contracts(world, self._sessions, self.now.astimezone(NEW_YORK).date())
        for order in world.account.open_orders:
            self._seed(order, trading_client if order.is_ours else BY_HAND)

    def submit(self, order: Order, *, client_id: int, refusal: Refusal | None = None) -> tuple[Report, ...]:
        """What happens at once to an order that arrives; `refusal` is a scripted reason not to take it.

        The same reference twice is two orders: the broker has no memory for references.
        """
        ticket = self._arrived(order, client_id)
        if ticket is None:
            return ()
        refusal = self._unknown(order) or refusal or self._refusal(order, ticket)
        if refusal and refusal.code in STOPPED_BY_PRESETS:
            return (_report(ticket, ticket.keep_back(self.now, refusal)),)
        return self._reject(ticket, refusal) if refusal else self._accept(ticket)

    def hold(self, order: Order, *, client_id: int) -> tuple[Report, ...]:
        """Keep an order that its sender has not released; only what is wrong with its form is said now."""
        ticket = self._arrived(order, client_id)
        if ticket is None:
            return ()
        ticket.is_held, ticket.state = True, OrderState.SENT
        refusal = self._unknown(order) or refuse_form(self._listed(order), self.world.account.id)
        return self._reject(ticket, refusal) if refusal else (_report(ticket, ticket.update(self.now)),)

    def modify(self, perm_id: int, order: Order, *, is_held: bool = False) -> tuple[Report, ...]:
        """Let an open order have this size, type and limit from now on; one that was held is released.

        What is refused leaves a working order as it was, and says so with a code. Reference, hours and script stay.
        With `is_held` a held order stays held, and a working one as it was.
        """
        ticket = self.tickets[perm_id]
        if not ticket.is_open:
            refusal: Refusal | None = refusal_of(104, f"the order is {ticket.state.label} already")
        else:
            refusal = refuse_change(order, ticket) or self._refusal(order, ticket, is_held=is_held)
        if refusal and ticket.is_held:
            return self._reject(ticket, refusal)
        if refusal or (is_held and not ticket.is_held):
            return (_report(ticket, ticket.update(self.now, refusal)),)
        old = ticket.terms
        ticket.terms = replace(terms_of(order, old.contract), order_ref=old.order_ref, outside_rth=old.outside_rth)
        if ticket.is_held and not is_held:
            ticket.is_held, ticket.state = False, OrderState.WORKING
            return self._accept(ticket)
        changed = _report(ticket, ticket.update(self.now))
        return changed, *(() if ticket.script or ticket.is_held else self._match(ticket))

    def what_if(self, order: Order) -> MarginEffect | Refusal | None:
        """What the order would do to the margin, or why it would be refused, or no answer; nothing changes."""
        contract = self._listed(order).contract
        script = self.world.fills.get(contract.symbol, FillScript())
        ticket = VenueOrder(0, BY_HAND, terms_of(order, contract), replace(script, reject=script.what_if_reject))
        if script.what_if_silent:
            return None
        refusal = self._unknown(order) or self._refusal(order, ticket)
        return refusal or margin_effect(ticket.terms, self._situation(ticket))

    def cancel(self, perm_id: int) -> tuple[Report, ...]:
        """What a cancel does: it is confirmed at once, and of an order that has ended the end is told again (10148)."""
        ticket = self.tickets[perm_id]
        if not ticket.is_open:
            reason = f"the order that needs to be cancelled is {ticket.state.label} already"
            return (_report(ticket, replace(ticket.update(self.now), code=10148, reason=reason)),)
        ticket.state = OrderState.CANCELLING
        asked = _report(ticket, ticket.update(self.now))
        ticket.code, ticket.reason = 202, "Order Canceled"
        return asked, self._end(ticket, OrderState.CANCELLED)

    def cancel_all(self) -> tuple[Report, ...]:
        """Every open order of every client ends, in order of arrival."""
        return tuple(report for ticket in self._timers for report in self.cancel(ticket.perm_id))

    def correct(self, exec_id: str, shares: Decimal, price: Decimal) -> tuple[Report, ...]:
        """An execution becomes its next revision, and the books what they would be had it always been that.

        FILLED stays the word for all of an order: one that ended with more or with less becomes FILLED or CANCELLED.
        Raises KeyError for an unknown execution, ValueError for shares that its order cannot have had.
        """
        ticket, number = find_execution(self.tickets.values(), exec_id)
        old = ticket.fills[number]
        if not ZERO < shares <= ticket.open_quantity + old.shares:
            raise ValueError(f"{exec_id} cannot have been {shares} shares of {ticket.terms.quantity}")
        new = corrected(old, shares, price)
        self.ledger.correct(ticket.terms.contract, old, new)
        ticket.filled += shares - old.shares
        ticket.fills[number], ticket.limits[number] = new, None
        told = replace(new, commission=None, commission_currency=None)
        paid = CommissionReport(new.exec_id, old.commission or ZERO, USD)
        reports = _report(ticket, told), _report(ticket, paid)
        return reports if shares == old.shares else (*reports, self._end(ticket, ticket.state_by_count))

    def next_event_at(self) -> datetime | None:
        """When time alone will make something happen next."""
        return self._timers.next_at()

    def advance_to(self, at: datetime) -> tuple[Report, ...]:
        """Everything that happens until `at`, in order of time, then of arrival; the past is not gone back to."""
        reports: list[Report] = []
        while (due := self.next_event_at()) is not None and due <= at:
            self.now = max(self.now, due)
            for ticket in self._timers.take_due(self.now):
                reports += self._wake(ticket)
        self.now = max(self.now, at)
        return tuple(reports)

    def move(self, change: Change) -> tuple[Report, ...]:
        """The world moves, and what rested may be reached."""
        for symbol, quote in change.quotes.items():
            before = self.quotes.get(symbol, SimQuote())
            self.quotes[symbol] = replace(quote, min_tick=quote.min_tick or before.min_tick)
        for position in change.positions:
            self.ledger.set_position(position)
        for currency, amount in change.cash.items():
            self.ledger.set_cash(currency, amount)
        reports: list[Report] = []
        for ticket in self._timers:
            if ticket.is_working and not ticket.script and ticket.terms.contract.symbol in change.quotes:
                reports += self._match(ticket)
        return tuple(reports)

    def quote(self, symbol: Symbol, *, is_snapshot: bool = False) -> Quote:
        """What a request for the symbol's quote is answered now; without any, a quote of Nones."""
        return show_quote(symbol, self.quotes.get(symbol, SimQuote()), self.now, is_snapshot=is_snapshot)

    def snapshot(self) -> AccountSnapshot:
        """The account, with figures down to the cent."""
        market = self.contracts, self.quotes
        return show_account(self.world.account, self.ledger, market, self.working(), self.now)

    def working(self) -> tuple[WorkingOrder, ...]:
        """Working orders of all clients, in order of arrival."""
        return tuple(ticket.as_working() for ticket in self._timers if ticket.is_working)

    def open_to(self, client_id: int) -> tuple[VenueOrder, ...]:
        """What this client sees of all clients' open orders, in order of arrival: held ones are its own."""
        return tuple(one for one in self._timers if one.is_working or one.client_id == client_id)

    def completed(self) -> tuple[CompletedOrder, ...]:
        """Orders that ended, in order of arrival."""
        return tuple(ticket.as_completed() for ticket in self.tickets.values() if not ticket.is_open)

    def executions(self) -> tuple[Fill, ...]:
        """Fills of all clients with their commissions, in order of time."""
        fills = [fill for ticket in self.tickets.values() for fill in ticket.fills]
        return tuple(sorted(fills, key=lambda fill: (fill.at, fill.exec_id)))

    def audit(self) -> None:
        """Raises ArithmeticError unless books, fills and orders agree to the last digit."""
        self.ledger.audit()
        for ticket in self.tickets.values():
            audit_ticket(ticket)

    def _next_id(self) -> int:
        return FIRST_PERM_ID + len(self.tickets)

    def _open(self, ticket: VenueOrder) -> VenueOrder:
        self.tickets[ticket.perm_id] = ticket
        self._timers.note(ticket)
        return ticket

    def _seed(self, order: SimOrder, client_id: int) -> None:
        terms = terms_before(order, self.contracts[order.symbol])
        ticket = VenueOrder(self._next_id(), client_id, terms, filled=order.filled, filled_before=order.filled)
        session = self._session(terms)
        ticket.expires = session[1] if session else None
        self._open(ticket)

    def _arrived(self, order: Order, client_id: int) -> VenueOrder | None:
        """The order as it lies here now; None for one that the script loses."""
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

    def _refusal(self, order: Order, ticket: VenueOrder, *, is_held: bool = False) -> Refusal | None:
        """Why the ticket may not be this order; of one that is held only the form is looked at."""
        listed = self._listed(order)
        form = refuse_form(listed, self.world.account.id)
        if is_held:
            return form
        if ticket.script and ticket.script.reject is not None:
            return refusal_of(ticket.script.reject)
        wanted = replace(terms_of(listed, listed.contract), quantity=order.quantity - ticket.filled)
        return form or refuse_effect(wanted, self._situation(ticket))

    def _situation(self, besides: VenueOrder) -> Situation:
        working = [one for one in self._timers if one.is_working and one is not besides]
        return Situation(self.world, self.ledger, self.quotes, working)

    def _session(self, terms: Terms) -> ClientSession | None:
        is_fx = terms.contract.security_type is SecurityType.CASH
        return self._sessions.session(self.now, is_fx=is_fx, is_extended=terms.outside_rth)

    def _accept(self, ticket: VenueOrder) -> tuple[Report, ...]:
        reports = [_report(ticket, ticket.update(self.now))]
        session = self._session(ticket.terms)
        if session is None or session[0] > self.now:
            text = _held_until(ticket.terms, session)
            reports.append(_report(ticket, Notice(text, self.now, 399, ticket.terms.order_ref)))
        if session is None:
            return tuple(reports)
        delay = ticket.script.delay_seconds if ticket.script else ZERO
        ticket.due = max(session[0], self.now) + timedelta(seconds=float(delay))
        ticket.expires = session[1]
        if ticket.due <= self.now:
            return (*reports, *self._wake(ticket))
        self._timers.note(ticket)
        return tuple(reports)

    def _reject(self, ticket: VenueOrder, refusal: Refusal) -> tuple[Report, ...]:
        ticket.code, ticket.reason, ticket.reject_reason = refusal.code, refusal.text, refusal.reject_reason
        return (self._end(ticket, OrderState.REJECTED),)

    def _wake(self, ticket: VenueOrder) -> tuple[Report, ...]:
        if ticket.expires is not None and ticket.expires <= self.now:
            ticket.reason = "the day of the order is over"
            return (self._end(ticket, OrderState.EXPIRED),)
        ticket.due = None
        self._timers.note(ticket)
        return self._match(ticket)

    def _match(self, ticket: VenueOrder) -> tuple[Report, ...]:
        terms, script = ticket.terms, ticket.script
        if ticket.due is not None:
            return ()
        quote = self.quotes.get(terms.contract.symbol, SimQuote())
        if script:
            price = scripted_price(terms.side, terms.limit_price, quote, script)
            parts = in_parts(scripted_part(terms.quantity, script), script)
        else:
            price = market_price(terms.side, terms.limit_price, quote)
            parts = (ticket.open_quantity,)
        if price is None:
            return ()
        return tuple(report for shares in parts if shares for report in self._fill(ticket, shares, price))

    def _fill(self, ticket: VenueOrder, shares: Decimal, price: Decimal) -> tuple[Report, ...]:
        terms = ticket.terms
        fill = ticket.next_fill(shares, price, self.now)
        cost = ZERO if ticket.fills else self.world.commission
        self.ledger.fill(terms.contract, terms.side, shares, price)
        self.ledger.charge(cost)
        ticket.filled += shares
        ticket.fills.append(replace(fill, commission=cost, commission_currency=USD))
        ticket.limits.append(terms.limit_price)
        reports = (
            _report(ticket, fill),
            _report(ticket, CommissionReport(fill.exec_id, cost, USD)),
        )
        if ticket.open_quantity:
            return (*reports, _report(ticket, ticket.update(self.now)))
        return (*reports, self._end(ticket, OrderState.FILLED))

    def _end(self, ticket: VenueOrder, state: OrderState) -> Report:
        ticket.state = state
        self._timers.note(ticket)
        return _report(ticket, ticket.update(self.now))


def _held_until(terms: Terms, session: ClientSession | None) -> str:
    """What the broker says of an order that waits for its market to open."""
    opens = f"{session[0].astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S} {GATEWAY_ZONE}" if session else "its market opens"
    what = f"{terms.side} {terms.quantity.normalize():f} {terms.contract.symbol} {terms.contract.primary_exchange}"
    return f"Order Message: {what} Warning: Your order will not be placed at the exchange until {opens}."


def _report(ticket: VenueOrder, event: BrokerEvent) -> Report:
    return Report(ticket.perm_id, ticket.client_id, event)
