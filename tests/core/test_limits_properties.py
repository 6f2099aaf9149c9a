"""Limits are on the grid, inside the market and on the safe side; a slow second calculation in fractions agrees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from builders import NOW, contract, quote, ticks
from fuzzing import IS_SAMPLE
from hypothesis import given
from hypothesis import strategies as st
from planning_builders import plan_settings

from core.errors import MarketDataMissing
from core.market.limits import Pricing, limit_for
from core.market.ticks import Ticks, ceil_tick, floor_tick, increment_at, nearest_tick
from core.model import EscalateAction, LimitStyle, OrderType, Side, TickBand
from core.money import D

BUY, SELL = Side.BUY, Side.SELL
CROSS, MARKET, KEEP = EscalateAction.CROSS, EscalateAction.MARKET, EscalateAction.KEEP
PENNY_BANDS = (TickBand(D(0), D("0.0001")), TickBand(D(1), D("0.01")))
ODD_BANDS = (TickBand(D(0), D("0.02")), TickBand(D("1.01"), D("0.05")), TickBand(D("1.99"), D("0.3")))


def pricing(**changes):
    return Pricing(plan_settings(**changes), NOW, sends_orders=True)


# --- the grid


@pytest.mark.parametrize(
    ("price", "increment"), [("0", "0.0001"), ("0.9999", "0.0001"), ("1", "0.01"), ("100", "0.01")]
)
def test_the_increment_is_that_of_the_band_the_price_lies_in(price, increment):
    assert increment_at(PENNY_BANDS, D(price)) == D(increment)


def test_below_the_first_band_its_own_increment_holds():
    assert increment_at((TickBand(D(1), D("0.01")),), D("0.5")) == D("0.01")


@pytest.mark.parametrize(
    ("bands", "price", "below", "above"),
    [
        (PENNY_BANDS, "0.99995", "0.9999", "1"),
        (PENNY_BANDS, "1.001", "1", "1.01"),
        (PENNY_BANDS, "1.009", "1", "1.01"),
        # the edges 1.01 and 1.99 lie on neither grid: 1.00 is followed by 1.05, 1.95 by 2.1
        (ODD_BANDS, "1.005", "1", "1.05"),
        (ODD_BANDS, "1.02", "1", "1.05"),
        (ODD_BANDS, "1.97", "1.95", "2.1"),
        (ODD_BANDS, "2.0", "1.95", "2.1"),
        (ODD_BANDS, "1.05", "1.05", "1.05"),
    ],
)
def test_a_price_between_two_bands_rounds_to_a_price_valid_in_its_own_band(bands, price, below, above):
    assert floor_tick(bands, D(price)) == D(below)
    assert ceil_tick(bands, D(price)) == D(above)


def test_a_band_without_any_price_of_its_own_is_skipped():
    empty = (TickBand(D(0), D("0.1")), TickBand(D("1.01"), D(5)), TickBand(D("1.03"), D("0.1")))
    assert floor_tick(empty, D("1.02")) == D(1)
    assert ceil_tick(empty, D("1.02")) == D("1.1")
    assert floor_tick(empty, D("1.05")) == D(1)


def test_nearest_compares_across_a_band_edge():
    assert nearest_tick(BUY, ODD_BANDS, D("2.04")) == D("2.1")  # 0.06 up, 0.09 down to 1.95
    assert nearest_tick(BUY, ODD_BANDS, D("2.025")) == D("1.95")  # a tie
    assert nearest_tick(SELL, ODD_BANDS, D("2.025")) == D("2.1")


# --- a second, slow calculation: fractions, and the grid written out around the price


@dataclass(frozen=True)
class Case:
    """A usable market and the rules, as the reference below reads them."""

    bid: Decimal
    ask: Decimal
    bands: Ticks
    by: Pricing


def grid(bands, price):
    """Every valid price within six of the largest steps of `price`."""
    reach = 6 * max(Fraction(band.increment) for band in bands)
    found = set()
    for at, band in enumerate(bands):
        step = Fraction(band.increment)
        low = Fraction(band.low_edge) if at else price - reach
        high = Fraction(bands[at + 1].low_edge) if at + 1 < len(bands) else price + reach + 1
        first = max(low, price - reach)
        count = -(-first // step)
        while count * step < high and count * step <= price + reach:
            found.add(count * step)
            count += 1
    return found


def down(bands, price):
    return max(point for point in grid(bands, price) if point <= price)


def up(bands, price):
    return min(point for point in grid(bands, price) if point >= price)


def reference(side, case):
    """(order type, limit of this attempt, worst price) by the rules as they are written."""
    attempt, last = case.by.attempt, case.by.settings.execution.reprice_attempts
    order_type, limit = reference_at(side, case, attempt)
    worst = limit if attempt == last else reference_at(side, case, last)[1]
    return order_type, limit, max(limit, worst) if side is BUY else min(limit, worst)


def reference_at(side, case, attempt):
    """(order type, price) of one attempt; of a market order the price that is counted."""
    settings, limits, bands = case.by.settings, case.by.settings.limits, case.bands
    share = Fraction(attempt, settings.execution.reprice_attempts) if attempt else Fraction(0)
    first = Fraction(limits.buy_offset_frac if side is BUY else limits.sell_offset_frac)
    part = first + (Fraction(1, 2) - first) * share
    bid, ask = Fraction(case.bid), Fraction(case.ask)
    mid, spread, bps = (bid + ask) / 2, ask - bid, Fraction(limits.max_offset_bps) / 10_000
    if settings.rebalance.order_type is OrderType.MKT:
        action = MARKET
    elif limits.style is LimitStyle.OFF:
        action = CROSS
    elif limits.style is LimitStyle.STATIC_BPS:
        action = "static"
    else:
        action = limits.escalate_action if spread / mid > Fraction(limits.wide_spread_bps) / 10_000 else "spread"
    if side is BUY:
        touch, bound, worst = down(bands, ask), down(bands, mid * (1 + bps)), up(bands, ask * (1 + bps))
        wanted = mid + part * spread
        nearest = min(grid(bands, wanted), key=lambda point: (abs(point - wanted), point))
        tightest = min
    else:
        touch, bound, worst = up(bands, bid), up(bands, mid * (1 - bps)), down(bands, bid * (1 - bps))
        wanted = mid - part * spread
        nearest = min(grid(bands, wanted), key=lambda point: (abs(point - wanted), -point))
        tightest = max
    cap = [touch] if limits.use_ask_bid_cap else []
    prices = {
        MARKET: worst,
        CROSS: touch,
        KEEP: tightest(bound, touch),
        "static": tightest([bound, *cap]),
        "spread": tightest([nearest, bound, *cap]),
    }
    return OrderType.MKT if action is MARKET else OrderType.LMT, prices[action]


def priced(side, case):
    """The limit, or None where no price above 0 is left."""
    try:
        verdict = case.by.judge(quote(bid=case.bid, ask=case.ask, previous_close=None))
        return limit_for(side, contract(ticks=case.bands), verdict, case.by)
    except MarketDataMissing:
        return None


cents = st.integers(1, 100_000).map(lambda count: D(count) / 100)
fractions = st.sampled_from([D(0), D("0.1"), D("0.25"), D("0.5"), D("0.75"), D(1)])
bands_of = st.sampled_from([ticks("0.0001"), ticks("0.005"), ticks("0.01"), ticks("0.05"), PENNY_BANDS, ODD_BANDS])


@st.composite
def cases(draw, **fixed):
    bid = draw(st.one_of(cents, st.decimals("0.5", "3", places=3)))
    spread_bps = draw(st.one_of(st.integers(0, 100), st.integers(0, 2_000)))
    ask = bid + draw(st.sampled_from([D("0.0001"), D("0.01"), bid / 10_000])) * spread_bps
    changes = {
        "style": draw(st.sampled_from(LimitStyle)),
        "order_type": draw(st.sampled_from([OrderType.LMT, OrderType.LMT, OrderType.MKT])),
        "buy_offset_frac": draw(fractions),
        "sell_offset_frac": draw(fractions),
        "max_offset_bps": draw(st.sampled_from([D(0), D("2.5"), D(10), D(75)])),
        "wide_spread_bps": draw(st.sampled_from([D(5), D(50), D(500)])),
        "escalate_action": draw(st.sampled_from(EscalateAction)),
        "use_ask_bid_cap": draw(st.booleans()),
        "reprice_attempts": draw(st.sampled_from([0, 1, 2, 7])),
    }
    by = pricing(**(changes | fixed))
    attempt = draw(st.integers(0, by.settings.execution.reprice_attempts))
    return Case(bid, ask, draw(bands_of), replace(by, attempt=attempt))


@given(st.sampled_from(Side), cases())
def test_a_second_calculation_in_fractions_agrees(side, case):
    order_type, limit, worst = reference(side, case)
    found = priced(side, case)
    if worst <= 0:
        assert found is None
    else:
        assert found is not None
        assert (found.order_type, Fraction(found.worst_price)) == (order_type, worst)
        assert found.limit_price is None or Fraction(found.limit_price) == limit


@pytest.mark.long
@pytest.mark.parametrize("action", list(EscalateAction))
@pytest.mark.parametrize("tick", ["0.0001", "0.005", "0.01", "0.05"])
@pytest.mark.parametrize("side", list(Side))
def test_the_second_calculation_agrees_at_every_spread_from_1_to_100_bps(side, tick, action):
    for spread_bps in range(1, 101, 3 if IS_SAMPLE else 1):
        half = D(spread_bps) / 200
        case = Case(100 - half, 100 + half, ticks(tick), pricing(escalate_action=action))
        found = priced(side, case)
        assert found is not None
        order_type, _, worst = reference(side, case)
        assert (found.order_type, Fraction(found.worst_price)) == (order_type, worst)


@given(st.sampled_from(Side), cases())
def test_every_price_lies_on_the_grid_that_is_valid_at_that_price(side, case):
    found = priced(side, case)
    if found is not None:
        assert found.worst_price % increment_at(case.bands, found.worst_price) == 0


@given(st.sampled_from(Side), cases(use_ask_bid_cap=True, order_type=OrderType.LMT))
def test_a_capped_limit_is_never_beyond_the_far_touch(side, case):
    found = priced(side, case)
    if found is not None and found.limit_price is not None:
        assert found.limit_price <= case.ask if side is BUY else found.limit_price >= case.bid


@given(st.sampled_from(Side), cases(use_ask_bid_cap=True, order_type=OrderType.LMT))
def test_between_touches_on_the_grid_a_limit_is_inside_the_market_on_both_sides(side, case):
    inside = replace(case, bid=floor_tick(case.bands, case.bid), ask=ceil_tick(case.bands, case.ask))
    if inside.bid > increment_at(case.bands, inside.bid):  # at the lowest tick a market sell is refused
        found = priced(side, inside)
        assert found is not None
        assert found.limit_price is None or inside.bid <= found.limit_price <= inside.ask


@given(st.sampled_from(Side), cases())
def test_no_limit_is_beyond_its_worst_price_and_a_market_order_is_counted_beyond_the_touch(side, case):
    found = priced(side, case)
    if found is None:
        return
    if found.limit_price is not None:
        is_last = case.by.attempt == case.by.settings.execution.reprice_attempts
        assert found.worst_price == found.limit_price or not is_last
        assert found.limit_price <= found.worst_price if side is BUY else found.limit_price >= found.worst_price
    else:
        assert found.worst_price >= case.ask if side is BUY else found.worst_price <= case.bid


@given(st.sampled_from(Side), cases(order_type=OrderType.LMT, escalate_action=KEEP, style=LimitStyle.SPREAD_AWARE))
def test_no_spread_however_wide_moves_a_kept_limit_beyond_the_offset_from_mid(side, case):
    found = priced(side, case)
    if found is not None and found.limit_price is not None and found.mid is not None:
        offset = found.mid * case.by.settings.limits.max_offset_bps / 10_000
        moved = found.limit_price - found.mid
        assert moved <= offset if side is BUY else -moved <= offset


@given(
    mid=st.integers(1_000, 50_000),
    half=st.integers(0, 300),
    tick=st.sampled_from(["0.0001", "0.005", "0.01"]),
    changes=st.fixed_dictionaries(
        {
            "style": st.sampled_from(LimitStyle),
            "escalate_action": st.sampled_from([CROSS, KEEP]),
            "max_offset_bps": st.sampled_from([D(0), D(10), D(75)]),
            "use_ask_bid_cap": st.booleans(),
        }
    ),
)
def test_limits_of_buy_and_sell_mirror_each_other_at_the_mid(mid, half, tick, changes):
    centre = D(mid) / 100
    market = Case(centre - D(half) / 100, centre + D(half) / 100, ticks(tick), pricing(**changes))
    buy, sell = priced(BUY, market), priced(SELL, market)
    assert buy is not None
    assert sell is not None
    assert buy.order_type is sell.order_type
    assert buy.worst_price - centre == centre - sell.worst_price
