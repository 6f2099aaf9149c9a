"""The account as clients are told of it: values, holdings, summary, profit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from core.model import AccountSnapshot, Position
from core.money import CENT, ONE, ZERO, floor_to
from core.sim.exchange import Exchange
from core.sim.gateway.faults import About
from core.sim.gateway.house import House, Session
from core.sim.margin import Situation, promised
from core.sim.messages import account as says
from core.sim.messages import requests as ask
from core.sim.messages.account import HoldingFields, ProfitFields, ValueFields
from core.sim.messages.contracts import contract_fields_of
from core.sim.wire import Fields, number
from core.sim.world import Point

BASE = "BASE"
LEDGER = "$LEDGER"
UPDATES = "updates"
MULTI = "multi"
SUMMARY = "summary"
POSITIONS = "positions"
PROFIT = "profit"
PROFIT_SINGLE = "profit of one"
TOO_MANY = "Max number of subscriptions has been reached"
FOREIGN = "Error validating request: invalid account"


def values_of(exchange: Exchange) -> Iterator[ValueFields]:
    """Every figure of the account: totals in its base currency, then the ledger by currency."""
    snapshot = exchange.snapshot()
    base = snapshot.base_currency
    yield ValueFields("AccountReady", "true")
    yield ValueFields("AccountType", "INDIVIDUAL")
    for tag, amount in _totals(exchange, snapshot).items():
        yield ValueFields(tag, number(amount), base)
    yield from ledger_of(snapshot)


def ledger_of(snapshot: AccountSnapshot) -> Iterator[ValueFields]:
    """Cash and rate of each currency, and of all together as the currency BASE."""
    total = sum((amount * snapshot.rates[currency] for currency, amount in snapshot.cash.items()), ZERO)
    rows = [(str(currency), amount, snapshot.rates[currency]) for currency, amount in snapshot.cash.items()]
    for currency, amount, rate in [*rows, (BASE, total, ONE)]:
        yield ValueFields("CashBalance", number(amount), currency)
        yield ValueFields("TotalCashBalance", number(amount), currency)
        yield ValueFields("ExchangeRate", number(rate), currency)
        yield ValueFields("RealCurrency", currency, currency)
        if currency == BASE:
            yield ValueFields("NetLiquidationByCurrency", number(snapshot.net_liq.amount), currency)


def holdings_of(snapshot: AccountSnapshot) -> Iterator[HoldingFields]:
    """What the account holds, alphabetical."""
    for position in snapshot.positions:
        yield HoldingFields(
            account=snapshot.account_id,
            contract=contract_fields_of(position.contract),
            quantity=position.quantity,
            average_cost=position.average_cost,
            market_price=position.market_price,
            market_value=position.market_value,
            unrealized=_unrealized(position),
        )


def ask_account(house: House, session: Session, request: ask.AskAccount) -> None:
    """The whole account and the end of it, then what changes; or an end to that."""
    if _is_foreign(house, session, request.account, About()):
        return
    if not request.is_subscribed:
        session.watchers.pop((UPDATES, 0), None)
        return
    fault = house.rehearsal.at_read(Point.SNAPSHOT)
    if fault.breaks:
        session.speaker.drop("as scripted: snapshot")
    elif fault.code:
        session.complain(About(), fault.code)
    else:
        _watch(house, session, (UPDATES, 0), _Download(house, session))
        session.say(says.account_download_end(house.exchange.world.account.id))


def ask_account_multi(house: House, session: Session, request: ask.AskAccountMulti) -> None:
    """The figures for a request by number."""
    account, req_id = house.exchange.world.account.id, request.req_id
    if _is_foreign(house, session, request.account, About(req_id)):
        return

    def line(value: ValueFields) -> Fields:
        return says.account_update_multi(req_id, account, value)

    if _watch(house, session, (MULTI, req_id), _Figures(house, session, line)):
        session.say(says.account_update_multi_end(req_id))


def cancel_account_multi(_house: House, session: Session, request: ask.CancelAccountMulti) -> None:
    session.watchers.pop((MULTI, request.req_id), None)


def ask_summary(house: House, session: Session, request: ask.AskSummary) -> None:
    """The figures asked for by tag; a third summary at a time is refused with 322."""
    account, req_id = house.exchange.world.account.id, request.req_id
    running = [key for key in session.watchers if key[0] == SUMMARY and key[1] != req_id]
    if len(running) >= house.options.bounds.summaries:
        session.complain(About(req_id), 322)
        return

    def line(value: ValueFields) -> Fields:
        return says.account_summary(req_id, account, value)

    tags = frozenset(tag.partition(":")[0] for tag in request.tags)
    if _watch(house, session, (SUMMARY, req_id), _Figures(house, session, line, tags)):
        session.say(says.account_summary_end(req_id))


def cancel_summary(_house: House, session: Session, request: ask.CancelSummary) -> None:
    session.watchers.pop((SUMMARY, request.req_id), None)


def ask_positions(house: House, session: Session, _request: ask.AskPositions) -> None:
    """The holdings and the end of them, then what changes."""
    if _watch(house, session, (POSITIONS, 0), _Positions(house, session)):
        session.say(says.position_end())


def cancel_positions(_house: House, session: Session, _request: ask.CancelPositions) -> None:
    session.watchers.pop((POSITIONS, 0), None)


def ask_profit(house: House, session: Session, request: ask.AskProfit) -> None:
    """Profit and loss of the account; of the day the venue knows nothing."""

    def tell() -> None:
        snapshot = house.exchange.snapshot()
        unrealized = sum((_unrealized(one) for one in snapshot.positions), ZERO)
        session.say(says.pnl(request.req_id, ProfitFields(None, unrealized, ZERO)), About(request.req_id))

    _watch(house, session, (PROFIT, request.req_id), tell)


def cancel_profit(_house: House, session: Session, request: ask.CancelProfit) -> None:
    session.watchers.pop((PROFIT, request.req_id), None)


def ask_profit_single(house: House, session: Session, request: ask.AskProfitSingle) -> None:
    """Profit and loss of one holding; of what is not held all is zero."""

    def tell() -> None:
        held = [one for one in house.exchange.snapshot().positions if one.contract.con_id == request.con_id]
        quantity = held[0].quantity if held else ZERO
        value = held[0].market_value if held else ZERO
        profit = ProfitFields(None, _unrealized(held[0]) if held else ZERO, ZERO)
        session.say(says.pnl_single(request.req_id, quantity, profit, value), About(request.req_id))

    _watch(house, session, (PROFIT_SINGLE, request.req_id), tell)


def cancel_profit_single(_house: House, session: Session, request: ask.CancelProfitSingle) -> None:
    session.watchers.pop((PROFIT_SINGLE, request.req_id), None)


class _Figures:
    """Tells those figures that are asked for and have changed."""

    def __init__(
        self,
        house: House,
        session: Session,
        line: Callable[[ValueFields], Fields],
        tags: frozenset[str] | None = None,
    ) -> None:
        self._house = house
        self._session = session
        self._line = line
        self._tags = tags
        self._told: dict[tuple[str, str], str] = {}

    def __call__(self) -> None:
        ledger = {value.tag for value in ledger_of(self._house.exchange.snapshot())}
        for value in values_of(self._house.exchange):
            is_wanted = self._tags is None or value.tag in self._tags or (LEDGER in self._tags and value.tag in ledger)
            if is_wanted and self._told.get((value.tag, value.currency)) != value.value:
                self._told[value.tag, value.currency] = value.value
                self._session.say(self._line(value))


class _Positions:
    """Tells those holdings that have changed; one that is gone as a holding of 0."""

    def __init__(
        self,
        house: House,
        session: Session,
        line: Callable[[HoldingFields], Fields] = says.position,
    ) -> None:
        self._house = house
        self._session = session
        self._line = line
        self._told: dict[int, HoldingFields] = {}

    def __call__(self) -> None:
        held = {one.contract.con_id: one for one in holdings_of(self._house.exchange.snapshot())}
        gone = {key: _emptied(old) for key, old in self._told.items() if key not in held and old.quantity}
        for key, holding in {**held, **gone}.items():
            if self._told.get(key) != holding:
                self._told[key] = holding
                self._session.say(self._line(holding), About(symbol=holding.contract.local_symbol))


class _Download:
    """Tells the account's figures, holdings and their time."""

    def __init__(self, house: House, session: Session) -> None:
        account = house.exchange.world.account.id
        self._house = house
        self._session = session
        self._figures = _Figures(house, session, lambda value: says.account_value(account, value))
        self._holdings = _Positions(house, session, says.portfolio)

    def __call__(self) -> None:
        self._figures()
        self._holdings()
        self._session.say(says.account_time(self._house.now()))


def _watch(house: House, session: Session, key: tuple[str, int], tell: Callable[[], None]) -> bool:
    """Tell now, and from now on whenever the account moves; False where the client watches too much already."""
    if key not in session.watchers and len(session.watchers) >= house.options.bounds.subscriptions:
        session.complain(About(key[1] or -1), 321, TOO_MANY)
        return False
    session.watchers[key] = tell
    tell()
    return True


def _is_foreign(house: House, session: Session, account: str, about: About) -> bool:
    if account in ("", "All", house.exchange.world.account.id):
        return False
    session.complain(about, 321, FOREIGN)
    return True


def _totals(exchange: Exchange, snapshot: AccountSnapshot) -> dict[str, Decimal]:
    working = [ticket for ticket in exchange.tickets.values() if ticket.is_working]
    pending = promised(Situation(exchange.world, exchange.books, exchange.quotes, working))
    maintenance = snapshot.maintenance_margin.amount
    initial = floor_to(maintenance + pending, CENT)
    equity = snapshot.excess_liquidity.amount + maintenance
    cash = sum((amount * snapshot.rates[currency] for currency, amount in snapshot.cash.items()), ZERO)
    gross = sum((abs(one.market_value) * _rate(snapshot, one) for one in snapshot.positions), ZERO)
    return {
        "NetLiquidation": snapshot.net_liq.amount,
        "TotalCashValue": floor_to(cash, CENT),
        "BuyingPower": snapshot.buying_power.amount,
        "ExcessLiquidity": snapshot.excess_liquidity.amount,
        "AvailableFunds": equity - initial,
        "GrossPositionValue": floor_to(gross, CENT),
        "InitMarginReq": initial,
        "MaintMarginReq": maintenance,
        "EquityWithLoanValue": equity,
    }


def _rate(snapshot: AccountSnapshot, position: Position) -> Decimal:
    return snapshot.rates.get(position.contract.currency, ONE)


def _unrealized(position: Position) -> Decimal:
    return position.market_value - position.quantity * position.average_cost


def _emptied(holding: HoldingFields) -> HoldingFields:
    return HoldingFields(holding.account, holding.contract, ZERO, ZERO, holding.market_price)
