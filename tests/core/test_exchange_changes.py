"""What may happen to an order after it was sent: modified, held and released, corrected; and what it would do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW
from hypothesis import given
from hypothesis import strategies as st
from worlds import VTI, account, earlier, exchange, order, quoted, scripted, world

from core.model import (
    CAD,
    USD,
    USD_CAD,
    CommissionReport,
    Fill,
    MarginChange,
    MarginEffect,
    Notice,
    OrderState,
    OrderUpdate,
    RejectReason,
    Side,
    Symbol,
)
from core.money import ZERO, D
from core.sim.venue.exchange import TRADING_CLIENT
from core.sim.venue.matching import in_parts
from core.sim.venue.orders import Refusal
from core.sim.venue.world import Change, FillScript, Point, SimQuote, Values

BND = Symbol("BND")
SELL = Side.SELL
SUNDAY = NOW - timedelta(days=1)


def submit(venue, an_order, client_id=TRADING_CLIENT):
    return venue.submit(an_order, client_id=client_id)


def resting(**changes):
    """A venue where a buy of 10 VTI at 99.00 works, and the order's id."""
    venue = exchange(**changes)
    submit(venue, order(limit="99.00"))
    return venue, next(iter(venue.orders))


def of_kind(reports, kind):
    return [report.event for report in reports if isinstance(report.event, kind)]


def states(reports):
    return [update.state for update in of_kind(reports, OrderUpdate)]


def last(reports):
    return of_kind(reports, OrderUpdate)[-1]


def moved(symbol, bid, ask):
    return Change(Point.BEFORE_BUYS, {Symbol(symbol): quoted(bid, ask)})


class TestModify:
    def test_a_working_order_takes_its_new_size_and_limit_and_rests_on(self):
        venue, perm_id = resting()
        reports = venue.modify(perm_id, order(quantity="7", limit="99.50"))
        assert states(reports) == [OrderState.WORKING]
        (working,) = venue.working()
        assert (working.quantity, working.limit_price, working.perm_id) == (D(7), D("99.50"), perm_id)
        (fill,) = of_kind(venue.move(moved("VTI", "99.40", "99.45")), Fill)
        assert (fill.shares, fill.price) == (D(7), D("99.45"))

    @pytest.mark.parametrize("limit", ["100.02", None])
    def test_one_that_the_market_reaches_now_fills(self, limit):
        venue, perm_id = resting()
        reports = venue.modify(perm_id, order(limit=limit))
        assert states(reports) == [OrderState.WORKING, OrderState.FILLED]
        (fill,) = of_kind(reports, Fill)
        assert (fill.shares, fill.price) == (D(10), D("100.02"))
        venue.audit()

    def test_the_reference_stays(self):
        venue, perm_id = resting()
        (report,) = venue.modify(perm_id, order(limit="98.00", ref="RB-AAAAAAAAAAAA-B1-9"))
        assert report.event.order_ref == order().ref

    @pytest.mark.parametrize(
        ("changes", "code", "reject_reason"),
        [
            ({"limit": "99.005"}, 110, RejectReason.REJECTED),
            ({"quantity": "0"}, 434, RejectReason.REJECTED),
            ({"quantity": "5000"}, 201, RejectReason.MARGIN),
            ({"symbol": "BND"}, 105, RejectReason.REJECTED),
            ({"side": SELL}, 105, RejectReason.REJECTED),
            ({"account_id": "DU7654321"}, 321, RejectReason.REJECTED),
        ],
    )
    def test_a_refused_change_leaves_the_order_as_it_was_and_is_reported(self, changes, code, reject_reason):
        venue, perm_id = resting()
        before = venue.working()
        (report,) = venue.modify(perm_id, order(**({"limit": "99.00"} | changes)))
        assert (report.event.state, report.event.code, report.event.reject_reason) == (
            OrderState.WORKING,
            code,
            reject_reason,
        )
        assert venue.working() == before
        assert last(venue.cancel(perm_id)).code == 202

    def test_the_margin_that_the_order_holds_already_is_not_asked_for_twice(self):
        venue, perm_id = resting(account=account(excess_liquidity=D(300)))
        assert last(venue.modify(perm_id, order(quantity="12", limit="99.00"))).code is None
        assert last(venue.modify(perm_id, order(quantity="13", limit="99.00"))).reject_reason is RejectReason.MARGIN

    def test_shares_that_have_filled_stay_filled(self):
        venue = exchange(fills=scripted(fill_fraction=D("0.5")))
        submit(venue, order())
        (perm_id,) = venue.orders
        refused = last(venue.modify(perm_id, order(quantity="5", limit="99.00")))
        assert (refused.code, refused.state, refused.filled) == (201, OrderState.WORKING, D(5))
        assert last(venue.modify(perm_id, order(quantity="6", limit="99.00"))).filled == D(5)
        venue.audit()
        assert [(one.quantity, one.filled, one.limit_price) for one in venue.working()] == [(D(6), D(5), D("99.00"))]

    def test_a_script_fills_the_new_size_when_its_time_comes(self):
        venue = exchange(fills=scripted(delay_seconds=D(20)))
        submit(venue, order())
        venue.modify(next(iter(venue.orders)), order(quantity="4"))
        (fill,) = of_kind(venue.advance_to(venue.now + timedelta(seconds=20)), Fill)
        assert fill.shares == D(4)

    @pytest.mark.parametrize("end", ["filled", "cancelled"])
    def test_an_ended_order_reports_its_end_again(self, end):
        venue, perm_id = resting()
        venue.modify(perm_id, order()) if end == "filled" else venue.cancel(perm_id)
        (report,) = venue.modify(perm_id, order(quantity="20"))
        assert (report.event.code, report.event.state.label) == (104, end.capitalize())
        assert venue.orders[perm_id].terms.quantity == D(10)


class TestHold:
    def test_a_held_order_does_nothing_and_is_its_clients_business_alone(self):
        venue = exchange()
        (report,) = venue.hold(order(), client_id=7)
        assert report.event.state is OrderState.SENT
        assert venue.move(moved("VTI", "90.00", "90.01")) == venue.advance_to(venue.now + timedelta(days=3)) == ()
        assert venue.working() == venue.snapshot().working_orders == venue.completed() == ()
        assert [placed.perm_id for placed in venue.open_to(7)] == [report.perm_id]
        assert venue.open_to(TRADING_CLIENT) == ()

    def test_it_holds_neither_margin_nor_shares(self):
        venue = exchange(account=account(excess_liquidity=D(300)))
        venue.hold(order(quantity="4000"), client_id=7)
        venue.hold(order(side=SELL, limit="101.00"), client_id=7)
        assert states(submit(venue, order()))[-1] is OrderState.FILLED
        assert states(submit(venue, order(side=SELL, limit="100.00")))[-1] is OrderState.FILLED

    def test_released_it_is_an_order_that_arrives(self):
        venue = exchange()
        (report,) = venue.hold(order(quantity="3", limit="90.00"), client_id=7)
        assert states(venue.modify(report.perm_id, order(quantity="3", limit="90.50"), is_held=True)) == [
            OrderState.SENT
        ]
        released = venue.modify(report.perm_id, order())
        assert states(released) == [OrderState.WORKING, OrderState.FILLED]
        assert {each.client_id for each in released} == {7}
        assert [fill.shares for fill in venue.executions()] == [D(10)]

    def test_released_on_a_sunday_it_waits_for_the_opening(self):
        venue = exchange(as_of=SUNDAY)
        (report,) = venue.hold(order(), client_id=7)
        assert [notice.code for notice in of_kind(venue.modify(report.perm_id, order()), Notice)] == [399]
        assert states(venue.advance_to(NOW)) == [OrderState.FILLED]

    @pytest.mark.parametrize(
        ("changes", "code"), [({"limit": "99.005"}, 110), ({"quantity": "-1"}, 434), ({"symbol": "NOPE"}, 200)]
    )
    def test_what_is_wrong_with_its_form_is_reported_at_once(self, changes, code):
        venue = exchange()
        (report,) = venue.hold(order(**changes), client_id=7)
        assert (report.event.state, report.event.code) == (OrderState.REJECTED, code)
        assert venue.open_to(7) == ()

    def test_what_the_account_cannot_afford_is_reported_at_its_release(self):
        venue = exchange()
        (report,) = venue.hold(order(quantity="5000"), client_id=7)
        assert report.event.state is OrderState.SENT
        released = last(venue.modify(report.perm_id, order(quantity="5000")))
        assert (released.state, released.reject_reason) == (OrderState.REJECTED, RejectReason.MARGIN)

    def test_a_working_order_cannot_be_held_back(self):
        venue, perm_id = resting()
        before = venue.working()
        assert states(venue.modify(perm_id, order(), is_held=True)) == [OrderState.WORKING]
        assert venue.working() == before

    def test_a_held_order_can_be_cancelled_and_a_lost_one_was_never_there(self):
        venue = exchange(fills=scripted("BND", is_lost=True))
        (report,) = venue.hold(order(), client_id=7)
        assert states(venue.cancel(report.perm_id)) == [OrderState.CANCELLING, OrderState.CANCELLED]
        assert venue.hold(order("BND", limit="72.01"), client_id=7) == ()
        assert len(venue.orders) == 1


def test_a_global_cancel_ends_every_open_order_of_every_client_and_nothing_else():
    venue = exchange(account=account(open_orders=(earlier(ref="by hand", filled=D(4)),)))
    submit(venue, order())
    submit(venue, order(limit="99.00"), client_id=7)
    venue.hold(order(), client_id=8)
    reports = venue.cancel_all()
    assert [(report.client_id, report.event.state) for report in reports] == [
        (client_id, state) for client_id in (0, 7, 8) for state in (OrderState.CANCELLING, OrderState.CANCELLED)
    ]
    assert venue.working() == venue.open_to(8) == venue.cancel_all() == ()
    assert [one.state.label for one in venue.completed()] == ["Cancelled", "Filled", "Cancelled", "Cancelled"]


class TestWhatIf:
    def test_a_buy_takes_its_margin_and_its_fee_in_the_base_currency(self):
        venue = exchange(account=account(base_currency=CAD, cash={USD: D(1000)}, positions=()), commission=D(2))
        assert venue.what_if(order()) == MarginEffect(
            currency=CAD,
            initial_margin=MarginChange(ZERO, D("340.07")),  # 10 × 100.02 USD × 1.360025 × 0.25, to the cent
            maintenance_margin=MarginChange(ZERO, D("340.07")),
            equity_with_loan=MarginChange(D("1360.02"), D("-2.73")),
            commission=D(2),
            commission_currency=USD,
        )

    def test_it_shows_what_will_be_there_afterwards(self):
        effect = exchange().what_if(order())
        assert effect.maintenance_margin == MarginChange(D("250.02"), D("250.05"))  # 10 at 100.01 are held
        assert effect.maintenance_margin.after == D("500.07")

    def test_buys_at_work_count_in_the_initial_margin_only(self):
        venue, _ = resting()
        effect = venue.what_if(order())
        assert effect.initial_margin.before - effect.maintenance_margin.before == D("247.50")

    def test_a_sell_frees_margin_and_a_conversion_takes_none(self):
        venue = exchange()
        sold = venue.what_if(order(side=SELL, quantity="4", limit="100.00"))
        assert sold.initial_margin.change == sold.maintenance_margin.change == D("-100.01")
        converted = venue.what_if(order(USD_CAD, quantity="100", limit=None))
        assert converted.initial_margin.change == converted.maintenance_margin.change == ZERO

    def test_a_given_excess_liquidity_is_what_is_available(self):
        effect = exchange(account=account(excess_liquidity=D(300))).what_if(order())
        assert effect.equity_with_loan.before - effect.maintenance_margin.before == D(300)

    @pytest.mark.parametrize(
        ("changes", "code", "reject_reason"),
        [
            ({"quantity": "5000"}, 201, RejectReason.MARGIN),
            ({"symbol": "NOPE"}, 200, RejectReason.CONTRACT),
            ({"limit": "99.005"}, 110, RejectReason.REJECTED),
            ({"side": SELL, "quantity": "11"}, 201, RejectReason.REJECTED),
        ],
    )
    def test_it_is_refused_as_the_order_would_be(self, changes, code, reject_reason):
        refusal = exchange().what_if(order(**changes))
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.reject_reason) == (code, reject_reason)

    def test_it_has_a_scripted_refusal_of_its_own(self):
        venue = exchange(fills=scripted(what_if_reject=10243, reject=201) | scripted("BND", is_lost=True, reject=201))
        assert venue.what_if(order()).code == 10243
        assert venue.what_if(order("BND", limit="72.01")).initial_margin.change == D("180.02")


class TestCorrect:
    def test_a_correction_replaces_its_execution_and_corrects_the_ledger(self):
        venue = exchange(commission=D(1))
        submit(venue, order())
        (fill,) = venue.executions()
        reports = venue.correct(fill.exec_id, D(10), D("99.90"))
        (reported,), (paid,) = of_kind(reports, Fill), of_kind(reports, CommissionReport)
        assert (reported.exec_id, reported.shares, reported.price) == (fill.exec_id[:-2] + "02", D(10), D("99.90"))
        assert (paid.exec_id, paid.commission) == (reported.exec_id, D(1))
        assert of_kind(reports, OrderUpdate) == []
        assert venue.executions() == (replace(fill, exec_id=reported.exec_id, price=D("99.90")),)
        assert venue.ledger.cash[USD] == D(100_000) - 999 - 1
        venue.audit()

    def test_a_second_one_follows_the_first_whatever_revision_is_named(self):
        venue = exchange()
        submit(venue, order())
        (fill,) = venue.executions()
        venue.correct(fill.exec_id, D(10), D("99.90"))
        venue.correct(fill.exec_id, D(10), D("99.80"))
        (now,) = venue.executions()
        assert (now.exec_id[-3:], now.price) == (".03", D("99.80"))
        assert venue.ledger.cash[USD] == D(100_000) - 998

    def test_fewer_shares_leave_a_filled_order_cancelled_for_the_remainder_and_more_fill_it_again(self):
        venue = exchange()
        submit(venue, order())
        (fill,) = venue.executions()
        less = last(venue.correct(fill.exec_id, D(8), fill.price))
        assert (less.state, less.filled, venue.ledger.held(VTI)) == (OrderState.CANCELLED, D(8), D(18))
        venue.audit()
        more = last(venue.correct(fill.exec_id, D(10), fill.price))
        assert (more.state, more.filled, venue.ledger.held(VTI)) == (OrderState.FILLED, D(10), D(20))
        venue.audit()

    def test_a_working_order_works_on_for_what_it_then_lacks(self):
        venue = exchange(fills=scripted(fill_fraction=D("0.5")))
        submit(venue, order())
        (fill,) = venue.executions()
        assert last(venue.correct(fill.exec_id, D(3), fill.price)).state is OrderState.WORKING
        assert [one.filled for one in venue.working()] == [D(3)]
        assert last(venue.correct(fill.exec_id, D(10), fill.price)).state is OrderState.FILLED
        assert venue.working() == ()
        venue.audit()

    def test_a_conversion_and_a_sell_of_everything_are_put_right_too(self):
        venue = exchange()
        submit(venue, order(USD_CAD, quantity="1000", limit=None))
        submit(venue, order(side=SELL, limit="100.00"))
        pair, sold = venue.executions()
        venue.correct(pair.exec_id, D(900), D("1.36"))
        venue.correct(sold.exec_id, D(4), D(101))
        assert venue.ledger.cash == {USD: D(100_000) + 900 + 404, CAD: D(5_000) - 1224}
        assert venue.ledger.held(VTI) == D(6)
        venue.audit()

    @pytest.mark.parametrize("shares", ["0", "-1", "10.5"])
    def test_an_execution_of_more_than_was_ordered_or_of_nothing_is_no_correction(self, shares):
        venue = exchange()
        submit(venue, order())
        (fill,) = venue.executions()
        with pytest.raises(ValueError, match="cannot have been"):
            venue.correct(fill.exec_id, D(shares), D(100))
        assert venue.executions() == (fill,)

    def test_an_execution_that_never_was_cannot_be_corrected(self):
        with pytest.raises(KeyError):
            exchange().correct("0000f1f1.000f4241.01.01", D(1), D(1))


@pytest.mark.parametrize(
    ("shares", "parts", "executions"),
    [("10", 3, "3 3 4"), ("10", 1, "10"), ("2", 3, "2"), ("0.5", 2, "0.25 0.25"), ("0.0003", 2, "0.0001 0.0002")],
)
def test_an_order_fills_in_as_many_parts_as_scripted(shares, parts, executions):
    assert in_parts(D(shares), FillScript(parts=parts)) == tuple(D(each) for each in executions.split())


def test_of_several_executions_the_first_is_charged():
    venue = exchange(fills=scripted(parts=3), commission=D(1))
    reports = submit(venue, order())
    assert states(reports) == [OrderState.WORKING] * 3 + [OrderState.FILLED]
    assert [update.filled for update in of_kind(reports, OrderUpdate)] == [D(0), D(3), D(6), D(10)]
    assert [paid.commission for paid in of_kind(reports, CommissionReport)] == [D(1), D(0), D(0)]
    assert len({fill.exec_id.rpartition(".")[0] for fill in venue.executions()}) == 3
    assert venue.ledger.cash[USD] == D(100_000) - D("1000.20") - 1
    venue.audit()


TICKS = st.one_of(st.none(), st.integers(-3, 3))
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["submit", "hold"]), st.sampled_from(list(Side)), st.integers(1, 400), TICKS),
        st.tuples(st.sampled_from(["modify", "hold back"]), st.integers(0, 9), st.integers(0, 400), TICKS),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("cancel all")),
        st.tuples(st.just("correct"), st.integers(0, 9), st.integers(1, 20), st.integers(-50, 50)),
        st.tuples(st.just("pass"), st.integers(0, 30_000)),
        st.tuples(st.just("move"), st.integers(-5, 5)),
    ),
    max_size=15,
)
SCRIPTS = st.one_of(
    st.none(),
    st.builds(
        FillScript,
        delay_seconds=st.integers(0, 3000).map(D),
        fill_fraction=st.integers(0, 10).map(lambda tenths: D(tenths) / 10),
        parts=st.integers(1, 4),
    ),
)
ASK, CENT = world().quotes[VTI].values.ask, D("0.01")


def order_of(side, quantity, ticks):
    limit = None if ticks is None else str(ASK + ticks * CENT)
    return order(side=side, quantity=str(quantity), limit=limit)


def play(venue, verb, *values):
    """What one command reports; of an order or an execution that is not there, nothing."""
    return PLAYED[verb](venue, *values)


def changed(venue, number, quantity, ticks, **how):
    placed = chosen(venue, number)
    return venue.modify(placed.perm_id, order_of(placed.terms.side, quantity, ticks), **how) if placed else ()


def cancelled(venue, number):
    placed = chosen(venue, number)
    return venue.cancel(placed.perm_id) if placed else ()


def chosen(venue, number):
    orders = list(venue.orders.values())
    return orders[number % len(orders)] if orders else None


def priced(venue, ticks):
    ask = ASK + ticks * CENT
    return venue.move(Change(Point.BEFORE_BUYS, {VTI: SimQuote(Values(ask - CENT, ask))}))


def corrected(venue, number, shares, cents):
    fills = venue.executions()
    if not fills:
        return ()
    fill = fills[number % len(fills)]
    return venue.correct(fill.exec_id, min(fill.shares, D(shares)), fill.price + cents * CENT)


PLAYED = {
    "submit": lambda venue, *values: venue.submit(order_of(*values), client_id=TRADING_CLIENT),
    "hold": lambda venue, *values: venue.hold(order_of(*values), client_id=TRADING_CLIENT),
    "modify": changed,
    "hold back": lambda venue, *values: changed(venue, *values, is_held=True),
    "cancel": cancelled,
    "cancel all": lambda venue: venue.cancel_all(),
    "correct": corrected,
    "pass": lambda venue, seconds: venue.advance_to(venue.now + timedelta(seconds=seconds)),
    "move": priced,
}


def played(commands, script):
    venue = exchange(commission=D(1), fills={VTI: script} if script else {})
    for command in commands:
        yield venue, play(venue, *command)


@given(COMMANDS, SCRIPTS)
def test_ledger_orders_and_lists_agree_after_every_command(commands, script):
    for venue, _ in played(commands, script):
        venue.audit()
        orders = list(venue.orders.values())
        assert [one.perm_id for one in venue.working()] == [one.perm_id for one in orders if one.is_working]
        assert [one.perm_id for one in venue.completed()] == [one.perm_id for one in orders if one.state.is_final]
        wakes = [placed.wakes_at for placed in orders if placed.wakes_at is not None]
        assert venue.next_event_at() == min(wakes, default=None)
        roots = [fill.exec_id.rpartition(".")[0] for fill in venue.executions()]
        assert len(roots) == len(set(roots))


@given(COMMANDS, SCRIPTS)
def test_what_was_last_reported_of_each_execution_is_what_is_listed(commands, script):
    reported, listed = {}, ()
    for venue, reports in played(commands, script):
        reported |= {fill.exec_id.rpartition(".")[0]: fill for fill in of_kind(reports, Fill)}
        listed = venue.executions()
    assert {facts(fill) for fill in listed} == {facts(fill) for fill in reported.values()}


def facts(fill):
    return fill.exec_id, fill.order_ref, fill.side, fill.shares, fill.price, fill.at


@given(COMMANDS, SCRIPTS, st.sampled_from(list(Side)), st.integers(1, 5000), TICKS)
def test_a_what_if_changes_nothing_and_predicts_what_becomes_of_the_order(commands, script, side, quantity, ticks):
    venue = exchange(commission=D(1), fills={VTI: script} if script else {})
    for command in commands:
        play(venue, *command)
    before = repr((venue.orders, venue.ledger.cash, venue.snapshot(), venue.next_event_at()))
    answer = venue.what_if(order_of(side, quantity, ticks))
    assert repr((venue.orders, venue.ledger.cash, venue.snapshot(), venue.next_event_at())) == before
    reported = of_kind(submit(venue, order_of(side, quantity, ticks)), OrderUpdate)[0]
    if isinstance(answer, Refusal):
        assert (reported.state, reported.code, reported.reason) == (OrderState.REJECTED, answer.code, answer.text)
    else:
        assert reported.state is OrderState.WORKING
        if side is Side.BUY:
            available = answer.equity_with_loan.before - answer.initial_margin.after
            assert available >= -CENT
