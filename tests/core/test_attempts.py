"""Further attempts at a line: nearer to the market, never dearer than sized, and paid for with their commissions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from builders import NOW, fill, order_record, quote, trade_line
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_builders import plan_settings
from trading import RUN, buy, execution_settings, trading
from worlds import account, quoted

from core.errors import OrderIncomplete, PlanKeptChanging
from core.execution import Attempts
from core.market.limits import Pricing
from core.model import USD, EscalateAction, Limit, LimitStyle, Nbbo, OrderState, OrderType, Side, Stage, Symbol
from core.money import D
from core.sim.venue.world import FillScript

MARKET = Nbbo(D("99.96"), D("100.04"))
ONE_LINE = Limit(OrderType.LMT, D("100.02"), D("100.04"), MARKET, "")


def pricing(now=NOW, **changes):
    return Pricing(plan_settings(**{"reprice_attempts": 2} | changes), now, sends_orders=True)


def line(symbol="VTI", number=1, quantity="10", limit=ONE_LINE, **changes):
    return trade_line(symbol, number=number, quantity=D(quantity), limit=limit, **changes)


def attempts(*lines, money="100000", commission="1", most_bps="50"):
    settings = plan_settings(commission_per_order_usd=D(commission), reprice_attempts=2, max_price_move_bps=D(most_bps))
    return Attempts(lines=lines or (line(),), money=None if money is None else D(money), settings=settings)


def ended(*fills, **changes):
    """An order for 10 VTI whose cancel is confirmed."""
    return order_record("VTI", *fills, **({"state": OrderState.CANCELLED} | changes))


def again(record, by=None, market=None, limits=None, records=None):
    market = market or quote(bid=D("99.96"), ask=D("100.04"))
    return (by or attempts()).next_order(record, market, limits or pricing(), records or (record,))


# --- the order


def test_the_next_attempt_is_the_remainder_at_a_fresh_price_nearer_to_the_touch():
    found = again(ended(fill("4", "100.02")))
    assert (found.ref, found.attempt, found.quantity) == ("RB-ABCDEFGHIJ23-B1-2", 2, D(6))
    assert (found.limit_price, found.mid) == (D("100.03"), D("100.00"))


def test_the_last_attempt_is_at_the_touch():
    second = ended(ref="RB-ABCDEFGHIJ23-B1-2", attempt=2)
    assert again(second).limit_price == D("100.04")


def test_a_buy_never_goes_above_the_worst_price_it_was_sized_at():
    dear = quote(bid=D("100.50"), ask=D("100.60"), last=None)
    found = again(ended(), market=dear)
    assert (found.limit_price, found.order_type, found.mid) == (D("100.04"), OrderType.LMT, D("100.55"))


def test_a_buy_that_was_sized_with_a_limit_does_not_become_a_market_order():
    wide = quote(bid=D("99"), ask=D("100.03"), last=None)
    found = again(ended(), market=wide, limits=pricing(escalate_action=EscalateAction.MARKET, wide_spread_bps=D(5)))
    assert (found.order_type, found.limit_price) == (OrderType.LMT, D("100.03"))


@pytest.mark.parametrize(
    ("ask", "order_type", "limit"), [("100.01", OrderType.MKT, None), ("101", OrderType.LMT, "100.15")]
)
def test_a_market_order_stays_one_while_it_is_counted_no_higher_than_it_was_sized(ask, order_type, limit):
    sized = Limit(OrderType.MKT, None, D("100.15"), MARKET, "")
    market = quote(bid=D("99.99"), ask=D(ask), last=None)
    by = pricing(order_type=OrderType.MKT)
    found = again(ended(), attempts(line(limit=sized)), market, by)
    assert (found.order_type, found.limit_price) == (order_type, limit and D(limit))


SOLD = Limit(OrderType.LMT, D("99.98"), D("99.96"), MARKET, "")
SELLS = attempts(line(side=Side.SELL, limit=SOLD), money=None)


def unsold():
    return ended(ref="RB-ABCDEFGHIJ23-S1-1", stage=Stage.SELL, side=Side.SELL)


def test_a_sell_follows_the_market_down_as_far_as_the_approval_holds():
    assert again(unsold(), SELLS, quote(bid=D("99.47"), ask=D("99.48"))).limit_price == D("99.47")
    with pytest.raises(PlanKeptChanging, match=r"VTI: the remainder of 10 is not sold: its worst price is now 99\.46"):
        again(unsold(), SELLS, quote(bid=D("99.46"), ask=D("99.47")))


moves = st.integers(-80, 80).map(lambda cents: D(cents) / 100)


@given(st.lists(moves, min_size=2, max_size=2), st.sampled_from([0, 20, 50]), st.sampled_from(list(LimitStyle)))
def test_no_further_attempt_at_a_sell_goes_below_what_was_approved_however_far_the_one_before_went(
    path, most_bps, style
):
    by = attempts(line(side=Side.SELL, limit=SOLD), money=None, most_bps=str(most_bps))
    least = D("99.96") * (1 - D(most_bps) / 10_000)
    record, bid = unsold(), least  # the first order went as low as the approval allows
    for attempt, move in enumerate(path, 2):
        bid = (bid + move).quantize(D("0.01"))
        market = quote(bid=bid, ask=bid + D("0.04"), last=None)
        try:
            order = again(record, by, market, pricing(style=style))
        except PlanKeptChanging:
            return
        assert order.limit_price >= least
        record = ended(ref=order.ref, stage=Stage.SELL, side=Side.SELL, attempt=attempt)


# --- the money


def test_the_commission_of_another_attempt_comes_out_of_what_is_left():
    half = ended(fill("5", "100.04"))
    assert again(half, attempts(money="1002.35")).quantity == D(5)
    assert again(half, attempts(money="1002.34")).quantity == D(4)


def test_a_commission_that_is_not_known_yet_is_taken_for_the_usual_one():
    half = ended(fill("5", "100.04", commission=None, commission_currency=None))
    assert again(half, attempts(money="1002.35")).quantity == D(5)
    assert again(half, attempts(money="1002.34")).quantity == D(4)


def test_a_commission_in_another_currency_takes_no_dollars():
    half = ended(fill("5", "100.04", commission_currency="CAD"))
    assert again(half, attempts(money="1001.35")).quantity == D(5)


def test_where_nothing_is_left_for_a_share_and_its_commission_the_remainder_stays():
    with pytest.raises(OrderIncomplete, match="VTI: the remainder of 5 is not sent again"):
        again(ended(fill("5", "100.04")), attempts(money="602.20"))


def test_fractions_of_shares_are_paid_for_down_to_the_fourth_decimal():
    record = ended(fill("5", "100.00"), quantity=D("10.5"))
    assert again(record, attempts(line(quantity="10.5"), money="602.00")).quantity == D("0.9997")


TWO = (line(), line("BND", 2, "3"))


def other(*fills, **changes):
    return order_record("BND", *fills, **({"ref": "RB-ABCDEFGHIJ23-B2-1", "line": 2, "quantity": D(3)} | changes))


@pytest.mark.parametrize(
    ("record", "taken"),
    [
        (None, "301.12"),
        (other(state=OrderState.WORKING), "301.12"),
        (other(fill("1", "90"), state=OrderState.WORKING), "291.08"),
        (other(fill("3", "90")), "271.00"),
        (other(fill("1", "90"), state=OrderState.CANCELLED), "292.08"),
        (other(state=OrderState.REJECTED), "0"),
        (other(fill("1", "90"), state=OrderState.CANCELLED, attempt=3, ref="RB-ABCDEFGHIJ23-B2-3"), "91.00"),
    ],
    ids=["queued", "working", "partly filled", "filled", "to be tried again", "refused", "given up"],
)
def test_what_the_other_lines_have_spent_and_may_still_spend_is_set_aside(record, taken):
    first = ended(fill("5", "100.00"))
    records = (first, record) if record else (first,)
    enough = D("501") + D(taken) + D("1") + 5 * D("100.03")
    assert again(first, attempts(*TWO, money=str(enough)), records=records).quantity == D(5)
    assert again(first, attempts(*TWO, money=str(enough - D("0.01"))), records=records).quantity == D(4)


def test_without_a_bound_on_the_money_the_whole_remainder_is_tried():
    assert again(unsold(), SELLS).quantity == D(10)


# --- no borrowing, however orders fill

SYMBOLS = ("VTI", "BND", "BIL")
ASKS = ("100.00", "100.02", "99.50", "100.04", "100.04")


@dataclass(frozen=True)
class Stage3:
    """Three buys that take every cent there is, at worst prices and with one commission each.

    All first attempts fill by `first`, each further one by the next of `later`, at the next of `asks`.
    """

    quantities: tuple[int, ...]
    commission: Decimal
    first: FillScript
    later: tuple[FillScript, ...]
    asks: tuple[str, ...]

    @property
    def money(self) -> Decimal:
        return sum((quantity * D("100.04") + self.commission for quantity in self.quantities), D(0))


scripts = st.builds(
    FillScript,
    fill_fraction=st.sampled_from([D(0), D("0.5"), D("0.9"), D(1), D(1), D(1)]),
    delay_seconds=st.sampled_from([D(0), D(30), D(59), D(90)]),
    parts=st.integers(1, 3),
)
stages = st.builds(
    Stage3,
    quantities=st.tuples(*[st.integers(1, 40)] * 3),
    commission=st.sampled_from([D(1), D("37.5"), D(90)]),
    first=scripts,
    later=st.tuples(*[scripts] * 9),
    asks=st.tuples(*[st.sampled_from(ASKS)] * 9),
)


async def played(stage):
    """The stage on a venue whose ask moves before each further attempt; (cash left, how it went)."""
    orders = [buy(name, at, quantity=str(stage.quantities[at - 1])) for at, name in enumerate(SYMBOLS, 1)]
    lines = [line(name, at, str(stage.quantities[at - 1])) for at, name in enumerate(SYMBOLS, 1)]
    at_work = await trading(
        *orders,
        settings=execution_settings(order_timeout_seconds=60.0, reprice_attempts=2),
        account=account(cash={USD: stage.money}),
        fills={Symbol(name): stage.first for name in SYMBOLS},
        commission=stage.commission,
    )
    by = attempts(*lines, money=str(stage.money), commission=str(stage.commission))
    asks, fills, venue = list(stage.asks), list(stage.later), at_work.broker.exchange

    async def next_attempt(record):
        symbol, ask = record.order.contract.symbol, D(asks.pop())
        venue.quotes[symbol] = quoted(str(ask - D("0.02")), str(ask), str(ask))
        venue.world = replace(venue.world, fills=venue.world.fills | {symbol: fills.pop()})
        found = venue.quote(symbol)
        return by.next_order(record, found, pricing(at_work.broker.now()), at_work.journal.orders(RUN))

    result = await at_work.run(*orders, reprice=next_attempt)
    return venue.ledger.cash[USD], result


@given(stages)
@settings(max_examples=60)
def test_no_sequence_of_fills_and_attempts_takes_more_than_there_is(stage):
    cash, result = asyncio.run(played(stage))
    assert cash >= 0
    for at, quantity in enumerate(stage.quantities, 1):
        orders = [record for record in result.records if record.order.line == at]
        assert sum(record.filled for record in orders) <= quantity
        assert all(record.order.limit_price <= D("100.04") for record in orders)


async def test_a_half_that_fills_each_time_pays_for_its_commissions_out_of_its_shares():
    half = FillScript(fill_fraction=D("0.5"))
    stage = Stage3((40, 1, 1), D(5), half, (half,) * 9, ("100.02",) * 9)
    cash, result = await played(stage)
    assert [record.order.quantity for record in result.records if record.order.line == 1] == [D(40), D(19), D(10)]
    assert cash >= 0
