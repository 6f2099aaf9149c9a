"""The simulated exchange: one account, its orders and its market, moved only by being told the time.

Orders live here, whatever happens to whoever sent them. The same world and the same calls give the
same reports, byte for byte.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.model import (
    USD,
    AccountSnapshot,
    BrokerEvent,
    CommissionReport,
    CompletedOrder,
    Fill,
    Notice,
    Order,
    OrderState,
    Quote,
    SecurityType,
    Symbol,
    WorkingOrder,
)
from core.money import CENT, ZERO, Money, floor_to
from core.sim.books import Books
from core.sim.checks import Situation, refusal_of, refuse_effect, refuse_form
from core.sim.listing import list_contracts
from core.sim.matching import market_price, present, scripted_part, scripted_price, within
from core.sim.sessions import NEW_YORK, HoursOf, Session, Sessions
from core.sim.tickets import Refusal, Report, Terms, Ticket, terms_before, terms_of
from core.sim.world import Change, FillScript, SimOrder, SimQuote, World

FIRST_PERM_ID = 1_000_001
TRADING_CLIENT = 42
BY_HAND = 0
BUYING_POWER_FACTOR = 4


class Exchange:
    """A venue with one account; `trading_client` is whose the world's own earlier orders are."""

    def __init__(self, world: World, hours_of: HoursOf, *, trading_client: int = TRADING_CLIENT) -> None:
        self.world = world
        self.now = world.as_of.astimezone(UTC)
        self.books = Books(world)
        self.quotes: dict[Symbol, SimQuote] = dict(world.quotes)
        self.tickets: dict[int, Ticket] = {}
        self._sessions = Sessions(hours_of)
        self.contracts = list_contracts(world, self._sessions, self.now.astimezone(NEW_YORK).date())
        for order in world.account.open_orders:
            self._seed(order, trading_client if order.is_ours else BY_HAND)

    def submit(self, order: Order, *, client_id: int, refusal: Refusal | None = None) -> tuple[Report, ...]:
        """What happens at once to an order that arrives; `refusal` is a scripted reason not to take it.

        The same reference twice is two orders: the broker has no memory for references.
        """
        contract = self.contracts.get(order.contract.symbol)
        if contract is None:
            refusal, contract = refusal_of(200), order.contract
        script = self.world.fills.get(contract.symbol)
        if script and script.is_lost:
            return ()
        ticket = self._open(Ticket(self._next_id(), client_id, terms_of(order, contract), script))
        refusal = refusal or self._refusal(replace(order, contract=contract), script, ticket)
        if refusal:
            ticket.code, ticket.reason, ticket.failure = refusal.code, refusal.text, refusal.failure
            return (self._end(ticket, OrderState.REJECTED),)
        return self._accept(ticket)

    def cancel(self, perm_id: int) -> tuple[Report, ...]:
        """What a cancel does: it is confirmed at once, and of an order that has ended the end is told again (10148)."""
        ticket = self.tickets[perm_id]
        if not ticket.is_working:
            reason = f"the order that needs to be cancelled is {ticket.state.label} already"
            return (_report(ticket, replace(ticket.update(self.now), code=10148, reason=reason)),)
        ticket.state = OrderState.CANCELLING
        asked = _report(ticket, ticket.update(self.now))
        ticket.code, ticket.reason = 202, "Order Canceled"
        return asked, self._end(ticket, OrderState.CANCELLED)

    def next_event_at(self) -> datetime | None:
        """When time alone will make something happen next."""
        return min((at for ticket in self.tickets.values() if (at := ticket.wakes_at) is not None), default=None)

    def advance_to(self, at: datetime) -> tuple[Report, ...]:
        """Everything that happens until `at`, in order of time, then of arrival; the past is not gone back to."""
        reports: list[Report] = []
        while (due := self.next_event_at()) is not None and due <= at:
            self.now = max(self.now, due)
            for ticket in list(self.tickets.values()):
                if ticket.wakes_at is not None and ticket.wakes_at <= self.now:
                    reports += self._wake(ticket)
        self.now = max(self.now, at)
        return tuple(reports)

    def move(self, change: Change) -> tuple[Report, ...]:
        """The world moves, and what rested may be reached."""
        for symbol, quote in change.quotes.items():
            before = self.quotes.get(symbol, SimQuote())
            self.quotes[symbol] = replace(quote, min_tick=quote.min_tick or before.min_tick)
        for position in change.positions:
            self.books.set_position(position)
        for currency, amount in change.cash.items():
            self.books.set_cash(currency, amount)
        reports: list[Report] = []
        for ticket in list(self.tickets.values()):
            if ticket.is_working and not ticket.script and ticket.terms.contract.symbol in change.quotes:
                reports += self._match(ticket)
        return tuple(reports)

    def quote(self, symbol: Symbol, *, is_snapshot: bool = False) -> Quote:
        """What a request for the symbol's quote is answered now; without any, a quote of Nones."""
        quote = self.quotes.get(symbol, SimQuote())
        values = quote.snapshot if is_snapshot and quote.snapshot else quote.values
        return Quote(
            symbol=symbol,
            bid=present(values.bid),
            ask=present(values.ask),
            last=present(values.last),
            taken_at=self.now - timedelta(seconds=float(quote.age_seconds)),
            previous_close=present(quote.previous_close),
            data_type=quote.data_type,
            is_halted=quote.is_halted,
            is_snapshot=is_snapshot,
        )

    def snapshot(self) -> AccountSnapshot:
        """The account, with figures down to the cent."""
        account = self.world.account
        figures = self.books.figures(self.quotes)
        base = account.base_currency
        return AccountSnapshot(
            account_id=account.id,
            base_currency=base,
            net_liq=Money(floor_to(figures.net_liq, CENT), base),
            excess_liquidity=Money(floor_to(figures.excess_liquidity, CENT), base),
            buying_power=Money(floor_to(max(figures.excess_liquidity, ZERO) * BUYING_POWER_FACTOR, CENT), base),
            maintenance_margin=Money(floor_to(figures.maintenance_margin, CENT), base),
            cash=dict(self.books.cash),
            rates=self.books.rates(self.quotes),
            positions=self.books.listed(self.contracts, self.quotes),
            working_orders=self.working(),
            taken_at=self.now,
        )

    def working(self) -> tuple[WorkingOrder, ...]:
        """Working orders of all clients, in order of arrival."""
        return tuple(ticket.as_working() for ticket in self.tickets.values() if ticket.is_working)

    def completed(self) -> tuple[CompletedOrder, ...]:
        """Orders that ended, in order of arrival."""
        return tuple(ticket.as_completed() for ticket in self.tickets.values() if not ticket.is_working)

    def executions(self) -> tuple[Fill, ...]:
        """Fills of all clients with their commissions, in order of time."""
        fills = [fill for ticket in self.tickets.values() for fill in ticket.fills]
        return tuple(sorted(fills, key=lambda fill: (fill.at, fill.exec_id)))

    def audit(self) -> None:
        """Raises ArithmeticError unless books, fills and orders agree to the last digit."""
        self.books.audit()
        for ticket in self.tickets.values():
            filled = sum((fill.shares for fill in ticket.fills), ticket.filled_before)
            if filled != ticket.filled or filled > ticket.terms.quantity:
                raise ArithmeticError(f"order {ticket.perm_id}: {filled} in fills, {ticket.filled} counted")
            limit = ticket.terms.limit_price
            if limit and not all(within(ticket.terms.side, fill.price, limit) for fill in ticket.fills):
                raise ArithmeticError(f"order {ticket.perm_id} filled beyond its limit of {limit}")

    def _next_id(self) -> int:
        return FIRST_PERM_ID + len(self.tickets)

    def _open(self, ticket: Ticket) -> Ticket:
        self.tickets[ticket.perm_id] = ticket
        return ticket

    def _seed(self, order: SimOrder, client_id: int) -> None:
        terms = terms_before(order, self.contracts[order.symbol])
        ticket = Ticket(self._next_id(), client_id, terms, filled=order.filled, filled_before=order.filled)
        session = self._session(terms)
        ticket.expires = session[1] if session else None
        self._open(ticket)

    def _refusal(self, order: Order, script: FillScript | None, ticket: Ticket) -> Refusal | None:
        if script and script.reject is not None:
            return refusal_of(script.reject)
        working = [one for one in self.tickets.values() if one.is_working and one is not ticket]
        situation = Situation(self.world, self.books, self.quotes, working)
        return refuse_form(order, self.world.account.id) or refuse_effect(ticket.terms, situation)

    def _session(self, terms: Terms) -> Session | None:
        is_fx = terms.contract.security_type is SecurityType.CASH
        return self._sessions.session(self.now, is_fx=is_fx, is_extended=terms.outside_rth)

    def _accept(self, ticket: Ticket) -> tuple[Report, ...]:
        reports = [_report(ticket, ticket.update(self.now))]
        session = self._session(ticket.terms)
        if session is None or session[0] > self.now:
            text = "Order held: its market is closed, it will work from the opening"
            reports.append(_report(ticket, Notice(text, self.now, 399, ticket.terms.order_ref)))
        if session is None:
            return tuple(reports)
        delay = ticket.script.delay_seconds if ticket.script else ZERO
        ticket.due = max(session[0], self.now) + timedelta(seconds=float(delay))
        ticket.expires = session[1]
        return (*reports, *self._wake(ticket)) if ticket.due <= self.now else tuple(reports)

    def _wake(self, ticket: Ticket) -> tuple[Report, ...]:
        if ticket.expires is not None and ticket.expires <= self.now:
            ticket.reason = "the day of the order is over"
            return (self._end(ticket, OrderState.EXPIRED),)
        ticket.due = None
        return self._match(ticket)

    def _match(self, ticket: Ticket) -> tuple[Report, ...]:
        terms, script = ticket.terms, ticket.script
        if ticket.due is not None:
            return ()
        quote = self.quotes.get(terms.contract.symbol, SimQuote())
        if script:
            price = scripted_price(terms.side, terms.limit_price, quote, script)
            shares = scripted_part(terms.quantity, script)
        else:
            price = market_price(terms.side, terms.limit_price, quote)
            shares = ticket.open_quantity
        return self._fill(ticket, shares, price) if price is not None and shares > 0 else ()

    def _fill(self, ticket: Ticket, shares: Decimal, price: Decimal) -> tuple[Report, ...]:
        terms = ticket.terms
        fill = Fill(
            exec_id=f"0000f1f1.{ticket.perm_id:08x}.{len(ticket.fills) + 1:02d}.01",
            order_ref=terms.order_ref,
            symbol=terms.contract.symbol,
            side=terms.side,
            shares=shares,
            price=price,
            at=self.now,
        )
        cost = self.world.commission
        self.books.fill(terms.contract, terms.side, shares, price)
        self.books.charge(cost)
        ticket.filled += shares
        ticket.fills.append(replace(fill, commission=cost, commission_currency=USD))
        reports = (
            _report(ticket, fill),
            _report(ticket, CommissionReport(fill.exec_id, cost, USD)),
        )
        if ticket.open_quantity:
            return (*reports, _report(ticket, ticket.update(self.now)))
        return (*reports, self._end(ticket, OrderState.FILLED))

    def _end(self, ticket: Ticket, state: OrderState) -> Report:
        ticket.state = state
        return _report(ticket, ticket.update(self.now))


def _report(ticket: Ticket, event: BrokerEvent) -> Report:
    return Report(ticket.perm_id, ticket.client_id, event)
