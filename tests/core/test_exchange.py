"""The simulated exchange: what fills at what price, what ends how, and that nothing comes from nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from worlds import VTI, account, earlier, exchange, held, order, quoted, scripted, weekdays

from core.model import (
    CAD,
    USD,
    USD_CAD,
    CommissionReport,
    Fill,
    Notice,
    OrderState,
    OrderUpdate,
    RejectReason,
    SecurityType,
    Side,
    Symbol,
)
from core.money import ZERO, D
from core.sim.venue.contracts import con_id_of
from core.sim.venue.exchange import BY_HAND, TRADING_CLIENT
from core.sim.venue.matching import mark, market_price, rate_of, scripted_part, scripted_price, touch
from core.sim.venue.sessions import Sessions
from core.sim.venue.world import Change, FillScript, Point, SimQuote, Values

BND = Symbol("BND")
SECOND = timedelta(seconds=1)
AT_TOUCH = quoted("100.00", "100.02", "100.01")


def submit(venue, an_order):
    return venue.submit(an_order, client_id=TRADING_CLIENT)


def of_kind(reports, kind):
    return [report.event for report in reports if isinstance(report.event, kind)]


def states(reports):
    return [update.state for update in of_kind(reports, OrderUpdate)]


def moved(**quotes):
    return Change(Point.BEFORE_BUYS, {Symbol(name): value for name, value in quotes.items()})


@pytest.mark.parametrize(
    ("side", "limit", "quote", "price"),
    [
        (Side.BUY, "100.02", AT_TOUCH, "100.02"),
        (Side.BUY, "100.50", AT_TOUCH, "100.02"),
        (Side.BUY, "100.01", AT_TOUCH, None),
        (Side.BUY, None, AT_TOUCH, "100.02"),
        (Side.SELL, "100.00", AT_TOUCH, "100.00"),
        (Side.SELL, "99.00", AT_TOUCH, "100.00"),
        (Side.SELL, "100.01", AT_TOUCH, None),
        (Side.SELL, None, AT_TOUCH, "100.00"),
        (Side.BUY, None, quoted("100.00", None, "100.01"), None),
        (Side.BUY, None, replace(AT_TOUCH, is_halted=True), None),
        (Side.BUY, "5", SimQuote(snapshot=Values(bid=D("3.98"), ask=D(4))), "4"),
        (Side.SELL, "1", quoted("-1", "0"), None),
    ],
)
def test_an_order_fills_at_the_touch_that_its_limit_reaches(side, limit, quote, price):
    limit = None if limit is None else D(limit)
    assert market_price(side, limit, quote) == (None if price is None else D(price))


@pytest.mark.parametrize(
    ("side", "limit", "script_price", "price"),
    [
        (Side.BUY, "100.50", "100.10", "100.10"),
        (Side.BUY, "100.05", "100.10", "100.05"),
        (Side.SELL, "99.00", "99.50", "99.50"),
        (Side.SELL, "99.60", "99.50", "99.60"),
        (Side.BUY, None, "100.10", "100.10"),
        (Side.BUY, "100.01", None, "100.01"),
        (Side.SELL, "100.01", None, "100.01"),
        (Side.BUY, "100.50", None, "100.02"),
    ],
)
def test_a_scripted_fill_is_never_beyond_the_limit(side, limit, script_price, price):
    script = FillScript(price=None if script_price is None else D(script_price))
    assert scripted_price(side, None if limit is None else D(limit), AT_TOUCH, script) == D(price)


def test_a_scripted_fill_without_any_market_is_at_the_limit_and_without_that_there_is_none():
    assert scripted_price(Side.BUY, D(7), SimQuote(), FillScript()) == D(7)
    assert scripted_price(Side.BUY, None, SimQuote(), FillScript()) is None


@pytest.mark.parametrize(
    ("quantity", "fraction", "part"),
    [("5", "0.5", "2"), ("5", "1", "5"), ("1", "0.9", "0"), ("0.5", "0.5", "0.25"), ("1.0001", "0.5", "0.5000")],
)
def test_a_scripted_part_is_whole_shares_of_a_whole_order(quantity, fraction, part):
    assert scripted_part(D(quantity), FillScript(fill_fraction=D(fraction))) == D(part)


@pytest.mark.parametrize(
    ("quote", "value", "rate"),
    [
        (quoted("1", "3", "1.5"), "1.5", "2"),
        (quoted("1", "3"), "2", "2"),
        (quoted("1"), "1", "1"),
        (quoted(None, "3"), "3", "3"),
        (SimQuote(snapshot=Values(last=D(4))), "4", "4"),
        (SimQuote(previous_close=D(5)), "5", "5"),
        (quoted("-1", "-1", "0"), None, None),
    ],
)
def test_the_broker_marks_at_the_last_and_books_a_rate_at_the_mid(quote, value, rate):
    assert mark(quote) == (None if value is None else D(value))
    assert rate_of(quote) == (None if rate is None else D(rate))


def test_a_one_sided_market_takes_only_that_side():
    quote = quoted(bid="5")
    assert touch(Side.SELL, quote) == D(5)
    assert touch(Side.BUY, quote) is None


def test_a_resting_order_fills_when_the_touch_reaches_it():
    venue = exchange()
    assert states(submit(venue, order(limit="99.50"))) == [OrderState.WORKING]
    assert venue.move(moved(BND=quoted("1", "2"))) == ()
    assert venue.move(moved(VTI=quoted("99.50", "99.51"))) == ()
    (fill,) = of_kind(venue.move(moved(VTI=quoted("99.40", "99.45"))), Fill)
    assert (fill.price, fill.shares) == (D("99.45"), D(10))
    venue.audit()


def test_a_quote_that_moves_keeps_its_tick():
    venue = exchange(quotes={VTI: quoted("1.00", "1.05", min_tick=D("0.05"))})
    venue.move(moved(VTI=quoted("1.10", "1.15")))
    assert venue.quotes[VTI].min_tick == D("0.05")


def test_a_delayed_fill_comes_at_its_time_and_at_the_price_of_that_time():
    venue = exchange(fills=scripted(delay_seconds=D("2.5")))
    submit(venue, order(limit="101"))
    assert venue.next_event_at() == NOW + timedelta(seconds=2.5)
    venue.move(moved(VTI=quoted("100.10", "100.12")))
    assert venue.advance_to(NOW + 2 * SECOND) == ()
    (fill,) = of_kind(venue.advance_to(NOW + 9 * SECOND), Fill)
    assert (fill.at, fill.price) == (NOW + timedelta(seconds=2.5), D("100.12"))
    assert venue.now == NOW + 9 * SECOND


def test_what_a_fraction_leaves_keeps_working_and_does_not_fill():
    venue = exchange(fills=scripted(fill_fraction=D("0.3")))
    reports = submit(venue, order())
    assert [fill.shares for fill in of_kind(reports, Fill)] == [D(3)]
    assert venue.move(moved(VTI=quoted("90", "91"))) == ()
    (working,) = venue.working()
    assert (working.quantity, working.filled) == (D(10), D(3))
    assert states(venue.cancel(working.perm_id)) == [OrderState.CANCELLING, OrderState.CANCELLED]
    assert venue.completed()[0].filled == D(3)
    venue.audit()


def test_a_fraction_of_nothing_never_fills():
    venue = exchange(fills=scripted(fill_fraction=ZERO))
    assert states(submit(venue, order())) == [OrderState.WORKING]
    assert of_kind(venue.advance_to(NOW + 600 * SECOND), Fill) == []


def test_the_fee_is_charged_with_the_fill():
    venue = exchange(commission=D(1))
    reports = submit(venue, order())
    assert [paid.commission for paid in of_kind(reports, CommissionReport)] == [D(1)]
    assert venue.ledger.cash[USD] == D(100_000) - D("1000.20") - D(1)


def test_a_cancel_is_pending_and_confirmed_and_an_ended_order_reports_its_end_again():
    venue = exchange()
    submit(venue, order(limit="99"))
    (working,) = venue.working()
    assert [(one.event.state, one.event.code) for one in venue.cancel(working.perm_id)] == [
        (OrderState.CANCELLING, None),
        (OrderState.CANCELLED, 202),
    ]
    (again,) = venue.cancel(working.perm_id)
    assert (again.event.state, again.event.code) == (OrderState.CANCELLED, 10148)


def test_a_fill_that_is_due_before_the_cancel_counts_first():
    venue = exchange(fills=scripted(delay_seconds=D(1)))
    submit(venue, order())
    filled = venue.advance_to(NOW + SECOND)
    (again,) = venue.cancel(filled[0].perm_id)
    assert (again.event.state, again.event.filled) == (OrderState.FILLED, D(10))


def test_the_same_reference_twice_is_two_orders():
    venue = exchange()
    first, second = submit(venue, order()), submit(venue, order())
    assert first[0].perm_id != second[0].perm_id
    assert venue.ledger.held(VTI) == D(30)


def test_an_order_of_the_day_expires_at_the_close_and_with_extended_hours_in_the_evening():
    venue = exchange()
    submit(venue, order(limit="99"))
    submit(venue, order(limit="99", outside_rth=True))
    reports = venue.advance_to(NOW + timedelta(days=1))
    assert [(one.event.state, one.event.at - NOW) for one in reports] == [
        (OrderState.EXPIRED, timedelta(minutes=30)),
        (OrderState.EXPIRED, timedelta(hours=4, minutes=30)),
    ]
    assert venue.working() == ()


@pytest.mark.parametrize(
    ("sent", "filled"),
    [
        ("2026-03-02T16:00:00-05:00", "2026-03-03T14:30:00+00:00"),
        ("2026-03-03T09:00:00-05:00", "2026-03-03T14:30:00+00:00"),
        ("2026-03-06T18:00:00-05:00", "2026-03-09T13:30:00+00:00"),  # summer time begins on the 8th
    ],
    ids=["evening", "morning", "weekend"],
)
def test_an_order_for_a_closed_market_is_held_until_it_opens(sent, filled):
    venue = exchange(as_of=datetime.fromisoformat(sent))
    reports = submit(venue, order())
    assert states(reports) == [OrderState.WORKING]
    assert [notice.code for notice in of_kind(reports, Notice)] == [399]
    (fill,) = of_kind(venue.advance_to(venue.now + timedelta(days=4)), Fill)
    assert fill.at.isoformat() == filled


def test_a_quote_that_moves_before_the_opening_fills_nothing():
    venue = exchange(as_of=NOW.replace(hour=10))
    submit(venue, order())
    assert venue.move(moved(VTI=quoted("90", "91"))) == ()
    (fill,) = of_kind(venue.advance_to(NOW), Fill)
    assert (fill.price, fill.at) == (D(91), NOW.replace(hour=14))


def test_an_order_for_a_market_that_never_opens_just_waits():
    venue = exchange()
    venue._sessions = Sessions(lambda day: "CLOSED")
    submit(venue, order())
    assert venue.next_event_at() is None
    assert len(venue.working()) == 1


@pytest.mark.parametrize(
    ("changes", "code", "reject_reason"),
    [
        ({"account_id": "DU7654321"}, 321, RejectReason.REJECTED),
        ({"quantity": ZERO}, 434, RejectReason.REJECTED),
        ({"limit_price": D("100.005")}, 110, RejectReason.REJECTED),
        ({"limit_price": D("-1")}, 110, RejectReason.REJECTED),
        ({"side": Side.SELL, "quantity": D(11)}, 201, RejectReason.REJECTED),
        ({"quantity": D(5000)}, 201, RejectReason.MARGIN),
    ],
)
def test_an_order_that_the_broker_does_not_take_changes_nothing(changes, code, reject_reason):
    venue = exchange()
    (report,) = submit(venue, replace(order(), **changes))
    assert (report.event.state, report.event.code, report.event.reject_reason) == (
        OrderState.REJECTED,
        code,
        reject_reason,
    )
    assert venue.ledger.cash[USD] == D(100_000)
    assert venue.executions() == ()
    venue.audit()


def test_an_order_in_an_unknown_contract_is_refused():
    (report,) = submit(exchange(), order("NOPE"))
    assert (report.event.code, report.event.reject_reason) == (200, RejectReason.CONTRACT)


def test_fractions_trade_where_the_contract_takes_them():
    venue = exchange(quotes={VTI: AT_TOUCH, BND: quoted("72.00", "72.01", is_fractional=False)})
    assert states(submit(venue, order(quantity="0.5")))[-1] is OrderState.FILLED
    (report,) = submit(venue, order("BND", quantity="0.5", limit="72.01"))
    assert (report.event.code, report.event.reject_reason) == (10243, RejectReason.FRACTION)


def test_margin_is_held_for_buys_that_still_work():
    venue = exchange(account=account(excess_liquidity=D(400)))
    submit(venue, order(limit="99", quantity="10"))  # holds 247.50
    assert states(submit(venue, order(limit="99", quantity="7"))) == [OrderState.REJECTED]
    assert states(submit(venue, order(limit="99", quantity="6"))) == [OrderState.WORKING]


def test_shares_promised_to_one_sell_are_not_sold_by_another():
    venue = exchange()
    assert states(submit(venue, order(side=Side.SELL, limit="110", quantity="6"))) == [OrderState.WORKING]
    assert states(submit(venue, order(side=Side.SELL, limit="110", quantity="5"))) == [OrderState.REJECTED]


@pytest.mark.parametrize(("side", "quantity", "is_taken"), [
    (Side.BUY, "3676", True),  # 3 676 × 1.36005 = 4 999.54 CAD of 5 000
    (Side.BUY, "3677", False),
    (Side.SELL, "100000", True),
    (Side.SELL, "100001", False),
])  # fmt: skip
def test_a_conversion_needs_the_currency_it_sells(side, quantity, is_taken):
    venue = exchange()
    reports = submit(venue, order(USD_CAD, side=side, quantity=quantity, limit=None))
    assert states(reports)[-1] is (OrderState.FILLED if is_taken else OrderState.REJECTED)
    assert min(venue.ledger.cash.values()) >= 0
    venue.audit()


def test_a_rejection_can_be_scripted_by_its_code():
    (report,) = submit(exchange(fills=scripted(reject=999)), order())
    assert (report.event.code, report.event.reject_reason) == (999, RejectReason.REJECTED)


def test_an_order_from_before_fills_only_when_the_market_moves():
    venue = exchange(account=account(open_orders=(earlier(limit_price=D(200), filled=D(4)),)))
    assert venue.advance_to(NOW + SECOND) == ()
    (fill,) = of_kind(venue.move(moved(VTI=AT_TOUCH)), Fill)
    assert (fill.shares, fill.price) == (D(6), D("100.02"))
    venue.audit()


def test_an_order_from_before_is_its_owners():
    venue = exchange(account=account(open_orders=(earlier(), earlier(ref=""))))
    assert [placed.client_id for placed in venue.orders.values()] == [TRADING_CLIENT, BY_HAND]


def test_the_ledger_counts_margin_in_the_base_currency_and_a_currency_position_as_cash():
    pair = held(USD_CAD, "700", "1.35", security_type=SecurityType.CASH, currency=CAD)
    snapshot = exchange(account=account(base_currency=CAD, positions=(held(), pair), cash={USD: ZERO})).snapshot()
    assert snapshot.rates == {USD: D("1.360025"), CAD: D(1)}
    assert snapshot.net_liq.amount == D("1360.16")  # 10 × 100.01 × 1.360025, down to the cent
    assert snapshot.maintenance_margin.amount == D("340.04")
    assert snapshot.excess_liquidity.amount == D("1020.12")
    assert snapshot.buying_power.amount == D("4080.48")
    assert [one.contract.symbol for one in snapshot.positions] == [USD_CAD, VTI]


def test_the_books_of_a_cad_account_have_no_usd_until_there_is_some():
    ours = {"base_currency": CAD, "cash": {CAD: D(1000)}}
    venue = exchange(account=account(**ours, positions=()))
    before = venue.snapshot()
    assert (before.cash, before.rates) == ({CAD: D(1000)}, {CAD: D(1)})
    venue.ledger.set_cash(USD, D(5))
    after = venue.snapshot()
    assert after.cash == {USD: D(5), CAD: D(1000)}
    assert after.rates == {USD: D("1.360025"), CAD: D(1)}
    holding = exchange(account=account(**ours)).snapshot()
    assert holding.cash == {USD: ZERO, CAD: D(1000)}


def test_a_given_excess_liquidity_moves_with_the_account():
    venue = exchange(account=account(excess_liquidity=D(5000)))
    assert venue.snapshot().excess_liquidity.amount == D(5000)
    submit(venue, order(quantity="4"))  # ends at 100.01: loses 4 cents of value, and 25 % of 400.04 in margin
    assert venue.snapshot().excess_liquidity.amount == D("4899.95")


def test_without_any_price_an_etf_has_no_mark_a_share_its_cost_and_cad_the_book_rate():
    positions = (held("VTI", 5), held("AAPL", 10, 200, security_type=SecurityType.STOCK))
    snapshot = exchange(quotes={}, account=account(cash={CAD: D(135)}, positions=positions)).snapshot()
    assert {each.contract.symbol: each.market_value for each in snapshot.positions} == {"AAPL": D(2000), "VTI": None}
    assert snapshot.net_liq.amount == D("2100.00")


def test_buying_more_averages_the_cost_and_selling_keeps_it():
    venue = exchange()
    submit(venue, order())
    assert venue.ledger.positions[VTI].average_cost == D("150.01")  # (10 × 200 + 10 × 100.02) / 20
    submit(venue, order(side=Side.SELL, limit=None, quantity="5"))
    assert venue.ledger.positions[VTI].average_cost == D("150.01")
    submit(venue, order(side=Side.SELL, limit=None, quantity="15"))
    assert VTI not in venue.ledger.positions


def _spoil_cash(venue):
    venue.ledger.cash[USD] += D("0.01")


def _spoil_shares(venue):
    venue.ledger.positions[VTI] = held("VTI", "99")


def _spoil_count(venue):
    next(iter(venue.orders.values())).filled -= 1


def _spoil_price(venue):
    placed = next(iter(venue.orders.values()))
    placed.fills[0] = replace(placed.fills[0], price=D(101))


@pytest.mark.parametrize("spoil", [_spoil_cash, _spoil_shares, _spoil_count, _spoil_price])
def test_the_audit_finds_what_does_not_add_up(spoil):
    venue = exchange()
    submit(venue, order())
    venue.audit()
    spoil(venue)
    with pytest.raises(ArithmeticError):
        venue.audit()


def test_con_ids_are_stable_positive_and_apart():
    symbols = [Symbol(f"S{number}") for number in range(3000)]
    numbers = {con_id_of(symbol) for symbol in symbols}
    assert len(numbers) == len(symbols)
    assert min(numbers) > 0
    assert con_id_of(VTI) == 1185409653
    assert con_id_of(USD_CAD) == 15016062


def test_what_is_listed_is_a_contract_without_a_quote():
    venue = exchange(listed=frozenset({Symbol("NEW")}), changes=(moved(SOON=quoted("1", "2")),))
    assert {"NEW", "SOON", "VTI", USD_CAD} <= set(venue.contracts)
    assert venue.quote(Symbol("NEW")).bid is None


def test_the_currency_week_runs_from_sunday_evening_to_friday():
    week = Sessions(weekdays).fx_text(NOW.date())
    assert week.startswith("20260301:1715-20260302:1700;20260302:1715-20260303:1700")
    assert "20260307:CLOSED;20260308:CLOSED;20260308:1715-20260309:1700" in week


def test_a_short_day_ends_its_extended_hours_early_too():
    sessions = Sessions(lambda day: "0930-1300")
    assert sessions.trading_text(NOW.date()).startswith("20260302:0400-20260302:1700")


@pytest.mark.parametrize("clock", ["03:30", "16:30", "17:10"])
def test_currencies_have_sessions_of_their_own(clock):
    at = datetime.fromisoformat(f"2026-03-02T{clock}-05:00")
    found = Sessions(weekdays).session(at, is_fx=True, is_extended=False)
    assert (found[0] <= at) is (clock != "17:10")


COMMANDS = st.lists(
    st.one_of(
        st.tuples(
            st.just("place"),
            st.sampled_from([VTI, BND, USD_CAD]),
            st.sampled_from(list(Side)),
            st.integers(1, 400),
            st.one_of(st.none(), st.integers(-3, 3)),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 11)),
        st.tuples(st.just("pass"), st.integers(0, 4000)),
        st.tuples(st.just("move"), st.sampled_from([VTI, BND]), st.integers(-5, 5)),
    ),
    max_size=12,
)
SCRIPTS = st.dictionaries(
    st.sampled_from([VTI, BND]),
    st.builds(
        FillScript,
        delay_seconds=st.integers(0, 3000).map(D),
        fill_fraction=st.integers(0, 10).map(lambda tenths: D(tenths) / 10),
    ),
)
TOUCH = {VTI: D("100.02"), BND: D("72.01"), USD_CAD: D("1.36005")}
TICK = {VTI: D("0.01"), BND: D("0.01"), USD_CAD: D("0.00005")}


def play(commands, scripts):
    """The venue after the commands, and everything that it reported."""
    venue = exchange(commission=D(1), fills=scripts, account=account(positions=(held(), held("BND", "50"))))
    reports = []
    for number, (verb, *given_words) in enumerate(commands):
        reports += _one(venue, number, verb, given_words)
    return venue, reports


def _one(venue, number, verb, values):
    if verb == "place":
        symbol, side, quantity, ticks = values
        limit = None if ticks is None else str(TOUCH[symbol] + ticks * TICK[symbol])
        return submit(venue, order(symbol, side=side, quantity=str(quantity), limit=limit, ref=f"RB-{number}"))
    if verb == "cancel":
        orders = list(venue.orders)
        return venue.cancel(orders[values[0] % len(orders)]) if orders else ()
    if verb == "pass":
        return venue.advance_to(venue.now + timedelta(seconds=values[0]))
    symbol, ticks = values
    price = TOUCH[symbol] + ticks * TICK[symbol]
    return venue.move(Change(Point.BEFORE_BUYS, {symbol: SimQuote(Values(price - TICK[symbol], price))}))


@given(COMMANDS, SCRIPTS)
def test_cash_and_shares_are_what_the_fills_and_fees_make_them(commands, scripts):
    venue, reports = play(commands, scripts)
    cash, shares = {USD: D(100_000), CAD: D(5_000)}, {VTI: D(10), BND: D(50)}
    for fill in of_kind(reports, Fill):
        signed = fill.shares if fill.side is Side.BUY else -fill.shares
        cash[CAD if fill.symbol == USD_CAD else USD] -= signed * fill.price
        if fill.symbol == USD_CAD:
            cash[USD] += signed
        else:
            shares[fill.symbol] += signed
    cash[USD] -= sum(paid.commission for paid in of_kind(reports, CommissionReport))
    assert venue.ledger.cash == cash
    assert {symbol: venue.ledger.held(symbol) for symbol in shares} == shares
    assert min(shares.values()) >= 0
    venue.audit()


@given(COMMANDS, SCRIPTS)
def test_no_order_fills_beyond_its_size_or_limit_or_after_its_end(commands, scripts):
    venue, reports = play(commands, scripts)
    ended = set()
    for report in reports:
        placed = venue.orders[report.perm_id]
        if isinstance(report.event, Fill):
            limit = placed.terms.limit_price
            better = (
                report.event.price <= (limit or 0)
                if report.event.side is Side.BUY
                else report.event.price >= (limit or 0)
            )
            assert limit is None or better
            assert report.perm_id not in ended
        if isinstance(report.event, OrderUpdate) and report.event.state.is_final:
            ended.add(report.perm_id)
    assert all(placed.filled <= placed.terms.quantity for placed in venue.orders.values())
    assert ended == {placed.perm_id for placed in venue.orders.values() if not placed.is_working}


@given(COMMANDS, SCRIPTS)
def test_the_same_calls_give_the_same_reports(commands, scripts):
    first, second = play(commands, scripts), play(commands, scripts)
    assert repr(first[1]) == repr(second[1])
    assert first[0].snapshot() == second[0].snapshot()


@pytest.mark.parametrize(("venue", "state"), [("IDEALPRO", "FILLED"), ("FXCONV", "FILLED"), ("ARCA", "REJECTED")])
def test_a_conversion_goes_where_it_is_sent_and_is_unknown_anywhere_else(venue, state):
    conversion = order(USD_CAD, quantity="1000", limit=None)
    venue_of = exchange(account=account(cash={CAD: D(5000)}))
    submit(venue_of, replace(conversion, contract=replace(conversion.contract, exchange=venue)))
    (placed,) = venue_of.orders.values()
    assert placed.state.name == state
