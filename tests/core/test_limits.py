"""Limits by table: every style, escalation and fault of a quote, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, contract, quote, ticks
from planning_builders import plan_settings

from core.errors import ExitCode, MarketDataMissing
from core.market.limits import Pricing, limit_for
from core.model import (
    EscalateAction,
    LimitStyle,
    MarketDataType,
    OrderType,
    Price,
    PriceSource,
    QuoteRefusal,
    Side,
    StaleAction,
)
from core.money import D

BUY, SELL = Side.BUY, Side.SELL
CROSS, MARKET, KEEP = EscalateAction.CROSS, EscalateAction.MARKET, EscalateAction.KEEP
LAST_100 = Price(D(100), PriceSource.LAST)


def pricing(*, sends_orders=True, **changes):
    return Pricing(plan_settings(**changes), NOW, sends_orders)


def limit(side, bid, ask, *, tick="0.01", fallback=None, by=None, **quote_changes):
    sides = {"bid": bid and D(bid), "ask": ask and D(ask)}
    bands = ticks(tick) if isinstance(tick, str) else tick
    by = by or pricing()
    verdict = by.judge(quote(**sides, **quote_changes))._replace(price=fallback)
    return limit_for(side, contract(ticks=bands), verdict, by)


# Spread-aware around a mid of 100 with a quarter of the spread, at most 10 bps: worked by hand.
@pytest.mark.parametrize(
    ("tick", "bid", "ask", "buy", "sell"),
    [
        ("0.0001", "99.995", "100.005", "100.0025", "99.9975"),
        ("0.0001", "99.95", "100.05", "100.025", "99.975"),
        ("0.0001", "99.80", "100.20", "100.10", "99.90"),
        ("0.0001", "99.75", "100.25", "100.10", "99.90"),
        ("0.005", "99.995", "100.005", "100", "100"),
        ("0.005", "99.95", "100.05", "100.025", "99.975"),
        ("0.005", "99.75", "100.25", "100.10", "99.90"),
        ("0.01", "99.995", "100.005", "100", "100"),
        ("0.01", "99.99", "100.01", "100", "100"),
        ("0.01", "99.98", "100.02", "100.01", "99.99"),
        ("0.01", "99.95", "100.05", "100.02", "99.98"),
        ("0.01", "99.75", "100.25", "100.10", "99.90"),
        ("0.05", "99.95", "100.05", "100", "100"),
        ("0.05", "99.90", "100.10", "100.05", "99.95"),
        ("0.05", "99.75", "100.25", "100.10", "99.90"),
    ],
)
def test_spread_aware_limits_at_spreads_up_to_the_wide_mark(tick, bid, ask, buy, sell):
    assert limit(BUY, bid, ask, tick=tick).limit_price == D(buy)
    assert limit(SELL, bid, ask, tick=tick).limit_price == D(sell)


# Wide: 100 bps (99.50 to 100.50) and 60 bps; the market order's worst price is the far touch ± 10 bps, costly side.
@pytest.mark.parametrize(
    ("tick", "bid", "ask", "action", "buy", "sell"),
    [
        ("0.0001", "99.50", "100.50", CROSS, "100.50", "99.50"),
        ("0.005", "99.50", "100.50", CROSS, "100.50", "99.50"),
        ("0.01", "99.70", "100.30", CROSS, "100.30", "99.70"),
        ("0.05", "99.50", "100.50", CROSS, "100.50", "99.50"),
        ("0.01", "99.745", "100.255", CROSS, "100.25", "99.75"),
        ("0.0001", "99.50", "100.50", KEEP, "100.10", "99.90"),
        ("0.005", "99.70", "100.30", KEEP, "100.10", "99.90"),
        ("0.01", "99.50", "100.50", KEEP, "100.10", "99.90"),
        ("0.05", "99.50", "100.50", KEEP, "100.10", "99.90"),
        ("0.0001", "99.50", "100.50", MARKET, "100.6005", "99.4005"),
        ("0.005", "99.50", "100.50", MARKET, "100.605", "99.40"),
        ("0.01", "99.50", "100.50", MARKET, "100.61", "99.40"),
        ("0.05", "99.50", "100.50", MARKET, "100.65", "99.40"),
    ],
)
def test_a_wide_spread_is_crossed_sent_to_market_or_kept_by_setting(tick, bid, ask, action, buy, sell):
    by = pricing(escalate_action=action)
    for side, expected in ((BUY, buy), (SELL, sell)):
        found = limit(side, bid, ask, tick=tick, by=by)
        assert found.worst_price == D(expected)
        assert found.order_type is (OrderType.MKT if action is MARKET else OrderType.LMT)
        assert found.limit_price == (None if action is MARKET else D(expected))


@pytest.mark.parametrize("action", [CROSS, MARKET, KEEP])
def test_a_spread_of_exactly_the_wide_mark_is_not_wide(action):
    found = limit(BUY, "99.75", "100.25", by=pricing(escalate_action=action, max_offset_bps=D(100)))
    assert found.limit_price == D("100.12")  # 100.125 is a tie, down for BUY


@pytest.mark.parametrize(("side", "touch"), [(BUY, "100.01"), (SELL, "99.99")])
def test_the_far_touch_caps_an_offset_beyond_it(side, touch):
    greedy = {"buy_offset_frac": D(1), "sell_offset_frac": D(1)}
    assert limit(side, "99.99", "100.01", by=pricing(**greedy)).limit_price == D(touch)
    off_grid = limit(side, "99.986", "100.014", by=pricing(**greedy))
    assert off_grid.limit_price == D(touch)


@pytest.mark.parametrize(("side", "capped", "free"), [(BUY, "10.02", "10.05"), (SELL, "9.98", "9.95")])
def test_without_the_cap_only_the_touch_term_is_dropped(side, capped, free):
    changes = {"style": LimitStyle.STATIC_BPS, "max_offset_bps": D(50)}
    assert limit(side, "9.98", "10.02", by=pricing(**changes)).limit_price == D(capped)
    assert limit(side, "9.98", "10.02", by=pricing(**changes, use_ask_bid_cap=False)).limit_price == D(free)


@pytest.mark.parametrize(("side", "expected"), [(BUY, "0.10"), (SELL, "0.05")])
def test_without_the_cap_rounding_may_pass_an_off_grid_touch_and_with_it_may_not(side, expected):
    by = {"buy_offset_frac": D(1), "sell_offset_frac": D(1), "wide_spread_bps": D(10_000), "max_offset_bps": D(9_000)}
    uncapped = limit(side, "0.07", "0.08", tick="0.05", by=pricing(**by, use_ask_bid_cap=False))
    assert uncapped.limit_price == D(expected)
    capped = limit(side, "0.07", "0.08", tick="0.05", by=pricing(**by))
    assert capped.limit_price == (D("0.05") if side is BUY else D("0.10"))


@pytest.mark.parametrize("is_capped", [True, False])
@pytest.mark.parametrize(("side", "touch"), [(BUY, "101"), (SELL, "99")])
def test_kept_inside_the_market_holds_whatever_the_cap_setting(side, touch, is_capped):
    by = pricing(escalate_action=KEEP, max_offset_bps=D(500), use_ask_bid_cap=is_capped)
    assert limit(side, "99", "101", by=by).limit_price == D(touch)


@pytest.mark.parametrize(
    ("side", "bid", "ask", "expected"),
    [
        (BUY, "99.80", "100.20", "100.10"),
        (SELL, "99.80", "100.20", "99.90"),
        (BUY, "99.95", "100.05", "100.05"),
        (SELL, "99.95", "100.05", "99.95"),
        (BUY, "90", "110", "100.10"),
        (SELL, "90", "110", "99.90"),
        (BUY, "99.81", "100.20", "100.10"),  # mid 100.005 × 1.001 = 100.105005, down
        (SELL, "99.81", "100.20", "99.91"),  # mid 100.005 × 0.999 = 99.904995, up
    ],
)
def test_static_limits_move_mid_by_bps_within_the_market_and_know_no_wide_spread(side, bid, ask, expected):
    by = pricing(style=LimitStyle.STATIC_BPS, escalate_action=MARKET)
    assert limit(side, bid, ask, by=by).limit_price == D(expected)


@pytest.mark.parametrize(("side", "touch"), [(BUY, "110"), (SELL, "90")])
def test_style_off_is_a_plain_limit_at_the_far_touch(side, touch):
    found = limit(side, "90", "110", by=pricing(style=LimitStyle.OFF, escalate_action=MARKET))
    assert (found.order_type, found.limit_price, found.worst_price) == (OrderType.LMT, D(touch), D(touch))


@pytest.mark.parametrize("style", list(LimitStyle))
@pytest.mark.parametrize(("side", "worst"), [(BUY, "100.12"), (SELL, "99.89")])
def test_order_type_mkt_goes_to_market_in_every_style(style, side, worst):
    found = limit(side, "99.99", "100.01", by=pricing(style=style, order_type=OrderType.MKT))
    assert (found.order_type, found.limit_price, found.worst_price) == (OrderType.MKT, None, D(worst))


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({}, "mid 100 + 0.25 × spread 0.20"),
        ({"buy_offset_frac": D("0.5"), "max_offset_bps": D(3)}, "mid 100 + 3 bps"),
        ({"buy_offset_frac": D(1), "max_offset_bps": D(50), "bid": "99.9", "ask": "100.107"}, "ask 100.107"),
        ({"style": LimitStyle.STATIC_BPS}, "mid 100 + 10 bps"),
        ({"style": LimitStyle.STATIC_BPS, "max_offset_bps": D(11)}, "ask 100.10"),
        ({"style": LimitStyle.OFF}, "ask 100.10"),
        ({"order_type": OrderType.MKT}, "market order, counted at ask 100.10 + 10 bps"),
        ({"wide_spread_bps": D("19.5")}, "spread 20.0 bps is wide (over 19.50): crossed, ask 100.10"),
        (
            {"wide_spread_bps": D(5), "escalate_action": KEEP},
            "spread 20.0 bps is wide (over 5): kept at mid 100 + 10 bps",
        ),
        (
            {"wide_spread_bps": D(5), "escalate_action": KEEP, "max_offset_bps": D(20)},
            "spread 20.0 bps is wide (over 5): kept at ask 100.10",
        ),
        (
            {"wide_spread_bps": D(5), "escalate_action": MARKET},
            "spread 20.0 bps is wide (over 5): market order, counted at ask 100.10 + 10 bps",
        ),
    ],
)
def test_a_limit_says_the_rule_that_decided_with_its_numbers(changes, how):
    bid, ask = changes.pop("bid", "99.9"), changes.pop("ask", "100.1")
    assert limit(BUY, bid, ask, by=pricing(**changes)).how == how


def test_a_sell_says_its_own_side():
    assert limit(SELL, "99.9", "100.1").how == "mid 100 − 0.25 × spread 0.20"
    assert limit(SELL, "99.9", "100.1", by=pricing(style=LimitStyle.OFF)).how == "bid 99.90"


# --- attempts: nearer to the far touch each time, and counted at the last


def attempts(side, bid, ask, *, count=2, **changes):
    """(limit, worst price) of each attempt."""
    by = [replace(pricing(reprice_attempts=count, **changes), attempt=attempt) for attempt in range(count + 1)]
    return [(found.limit_price, found.worst_price) for found in (limit(side, bid, ask, by=each) for each in by)]


@pytest.mark.parametrize(
    ("side", "prices"),
    [(BUY, ["100.02", "100.03", "100.04"]), (SELL, ["99.98", "99.97", "99.96"])],
)
def test_each_attempt_goes_nearer_to_the_far_touch_and_the_last_stands_there(side, prices):
    worst = D(prices[-1])
    assert attempts(side, "99.96", "100.04") == [(D(price), worst) for price in prices]


def test_each_side_steps_from_its_own_part_of_the_spread():
    by = {"buy_offset_frac": D("0.1"), "sell_offset_frac": D("0.4")}
    assert [price for price, _ in attempts(BUY, "99.95", "100.05", **by)] == [D("100.01"), D("100.03"), D("100.05")]
    assert [price for price, _ in attempts(SELL, "99.95", "100.05", **by)] == [D("99.96"), D("99.96"), D("99.95")]


def test_a_sell_moves_by_its_own_part_of_the_spread_not_by_that_of_a_buy():
    by = pricing(buy_offset_frac=D("0.1"), sell_offset_frac=D("0.4"))
    assert limit(SELL, "99.90", "100.10", by=by).limit_price == D("99.92")
    assert limit(BUY, "99.90", "100.10", by=by).limit_price == D("100.02")


@pytest.mark.parametrize(
    ("side", "prices"), [(BUY, ["100.05", "100.07", "100.10"]), (SELL, ["99.95", "99.93", "99.90"])]
)
def test_no_attempt_goes_further_from_mid_than_the_offset(side, prices):
    found = attempts(side, "99.90", "100.10", max_offset_bps=D("7.5"))
    most = D("100.07") if side is BUY else D("99.93")
    assert [price for price, _ in found] == [D(prices[0]), most, most]
    assert {worst for _, worst in found} == {most}


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("style", [LimitStyle.OFF, LimitStyle.STATIC_BPS])
def test_other_styles_price_every_attempt_alike(side, style):
    assert len(set(attempts(side, "99.96", "100.04", style=style))) == 1


def test_a_part_beyond_the_touch_shrinks_to_it_and_the_first_attempt_is_the_worst():
    by = {"buy_offset_frac": D(1), "use_ask_bid_cap": False, "max_offset_bps": D(50)}
    assert attempts(BUY, "99.96", "100.04", **by) == [
        (D("100.08"), D("100.08")),
        (D("100.06"), D("100.06")),
        (D("100.04"), D("100.04")),
    ]


def test_a_single_attempt_is_counted_at_its_own_limit():
    assert attempts(BUY, "99.96", "100.04", count=0) == [(D("100.02"), D("100.02"))]


def test_a_limit_says_where_its_last_attempt_stands():
    found = limit(BUY, "99.96", "100.04", by=pricing(reprice_attempts=2))
    assert found.how == "mid 100 + 0.25 × spread 0.08; 100.04 in the last of 3 attempts"


@pytest.mark.parametrize("side", list(Side))
def test_the_worst_price_of_a_market_order_is_the_far_touch_moved_by_the_offset_on_the_grid(side):
    by = pricing(order_type=OrderType.MKT, reprice_attempts=2)
    assert limit(side, "99.99", "100.01", tick="0.05", by=by).worst_price == D("100.15" if side is BUY else "99.85")


# --- quotes that are not good enough


@pytest.mark.parametrize("order_type", list(OrderType))
@pytest.mark.parametrize(
    ("bid", "ask", "more", "why"),
    [
        ("100", None, {}, "no ask"),
        (None, None, {}, "no bid and no ask"),
        ("101", "100", {}, "crossed, bid 101 above ask 100"),
        ("100", "101", {"is_halted": True}, "trading is halted"),
    ],
)
def test_without_a_usable_market_no_order_is_priced(order_type, bid, ask, more, why):
    with pytest.raises(MarketDataMissing, match=f"VTI: no usable market, {why}") as refusal:
        limit(BUY, bid, ask, fallback=LAST_100, by=pricing(order_type=order_type), **more)
    assert refusal.value.exit_code is ExitCode.MARKET_DATA
    assert refusal.value.next_step


@pytest.mark.parametrize("sends_orders", [True, False])
def test_data_that_the_broker_refuses_prices_no_order_and_says_what_to_do(sends_orders):
    refusal = QuoteRefusal("No market data during competing live session (10197)", "log out other sessions")
    with pytest.raises(MarketDataMissing, match=r"VTI: no usable market.*competing live session \(10197\)") as error:
        limit(BUY, None, None, last=None, refusal=refusal, by=pricing(sends_orders=sends_orders))
    assert error.value.next_step == "log out other sessions"


STALE = NOW - timedelta(seconds=10.5)


def test_a_stale_quote_is_refused_by_name_when_set_so():
    with pytest.raises(MarketDataMissing, match=r"VTI: stale quote, 10\.5 s old \(limit 10 s\)") as refusal:
        limit(BUY, "99.99", "100.01", taken_at=STALE)
    assert "stale_action" in refusal.value.next_step


@pytest.mark.parametrize(
    ("action", "order_type", "worst"),
    [(CROSS, OrderType.LMT, "100.01"), (KEEP, OrderType.LMT, "100.01"), (MARKET, OrderType.MKT, "100.12")],
)
def test_a_stale_quote_that_escalates_counts_as_wide_with_a_warning(action, order_type, worst):
    by = pricing(stale_action=StaleAction.ESCALATE, escalate_action=action)
    found = limit(BUY, "99.99", "100.01", taken_at=STALE, by=by)
    assert (found.order_type, found.worst_price) == (order_type, D(worst))
    assert found.how.startswith("stale quote counts as wide: ")
    assert found.warning == "VTI: stale quote, 10.5 s old (limit 10 s)"


def test_a_stale_quote_only_warns_where_no_order_is_sent():
    found = limit(BUY, "99.98", "100.02", taken_at=STALE, by=pricing(sends_orders=False))
    assert (found.limit_price, found.how) == (D("100.01"), "mid 100 + 0.25 × spread 0.04")
    assert found.warning == "VTI: stale quote, 10.5 s old (limit 10 s)"


@pytest.mark.parametrize(
    ("side", "bid", "ask", "expected", "how"),
    [
        (BUY, None, "100.01", "100.12", "estimated, ask 100.01 + 10 bps"),
        (BUY, "99.99", None, "100.10", "estimated, last 100 + 10 bps"),
        (SELL, "99.99", None, "99.89", "estimated, bid 99.99 − 10 bps"),
        (SELL, None, "100.01", "99.90", "estimated, last 100 − 10 bps"),
        (BUY, "101", "99", "100.10", "estimated, last 100 + 10 bps"),
        (SELL, None, None, "99.90", "estimated, last 100 − 10 bps"),
    ],
)
@pytest.mark.parametrize("order_type", list(OrderType))
def test_where_no_order_is_sent_a_missing_market_is_estimated_to_the_costly_side(
    side, bid, ask, expected, how, order_type
):
    by = pricing(sends_orders=False, order_type=order_type)
    found = limit(side, bid, ask, fallback=LAST_100, by=by)
    assert (found.worst_price, found.how, found.mid) == (D(expected), how, None)
    assert found.limit_price == (D(expected) if order_type is OrderType.LMT else None)
    assert found.warning is not None
    assert found.warning.startswith("VTI: no usable market (")


@pytest.mark.parametrize(
    ("side", "bid", "ask", "worst"), [(BUY, None, "100.01", "100.12"), (SELL, "99.99", None, "99.89")]
)
def test_a_market_order_needs_the_far_touch_only(side, bid, ask, worst):
    found = limit(side, bid, ask, fallback=LAST_100, by=pricing(order_type=OrderType.MKT))
    assert (found.order_type, found.limit_price, found.worst_price) == (OrderType.MKT, None, D(worst))
    assert found.warning is not None
    with pytest.raises(MarketDataMissing, match="VTI: no usable market, no"):
        limit(side, bid, ask, fallback=LAST_100, by=pricing())


def test_a_market_order_to_sell_is_refused_without_a_bid():
    with pytest.raises(MarketDataMissing, match="VTI: no usable market, no bid"):
        limit(SELL, None, "100.01", fallback=LAST_100, by=pricing(order_type=OrderType.MKT))


def test_a_stale_quote_refuses_a_market_order_too():
    with pytest.raises(MarketDataMissing, match="VTI: stale quote"):
        limit(BUY, None, "100.01", taken_at=STALE, by=pricing(order_type=OrderType.MKT))


def test_without_any_price_even_an_estimate_is_refused():
    with pytest.raises(MarketDataMissing, match="VTI: no usable market \\(no bid and no ask\\) and no other price"):
        limit(BUY, None, None, by=pricing(sends_orders=False))


@pytest.mark.parametrize(
    ("side", "bid", "ask", "order_type"), [(BUY, "0.02", "0.04", OrderType.LMT), (SELL, "0.04", "0.06", OrderType.MKT)]
)
@pytest.mark.parametrize("sends_orders", [True, False])
def test_a_price_that_rounds_to_nothing_is_refused(side, bid, ask, order_type, sends_orders):
    by = pricing(order_type=order_type, sends_orders=sends_orders)
    with pytest.raises(MarketDataMissing, match=r"VTI: .* leaves no price above 0 on the tick grid"):
        limit(side, bid, ask, tick="0.05", by=by)


@pytest.mark.parametrize(
    ("kind", "warning"),
    [
        (MarketDataType.LIVE, None),
        (MarketDataType.DELAYED, "VTI: delayed quote, not live"),
        (MarketDataType.FROZEN, "VTI: frozen quote, not live"),
        (MarketDataType.DELAYED_FROZEN, "VTI: delayed frozen quote, not live"),
    ],
)
def test_data_that_is_not_live_gives_a_warning(kind, warning):
    assert limit(BUY, "99.99", "100.01", data_type=kind).warning == warning


@pytest.mark.parametrize(
    ("close", "warns"),
    [
        (None, False),
        ("0", False),
        ("100", False),
        ("90.91", False),
        ("90.90", True),
        ("111.11", False),
        ("111.12", True),
    ],
)
def test_a_price_more_than_a_tenth_from_the_previous_close_gives_a_warning(close, warns):
    found = limit(BUY, "99.99", "100.01", previous_close=close and D(close))
    expected = f"VTI: price 100 is more than 10 % from the previous close {close}" if warns else None
    assert found.warning == expected


def test_several_warnings_stand_in_one_line_that_names_the_symbol_once():
    by = pricing(stale_action=StaleAction.ESCALATE)
    found = limit(BUY, "99.99", "100.01", taken_at=STALE, data_type=MarketDataType.DELAYED, previous_close=D(50), by=by)
    assert found.warning == (
        "VTI: stale quote, 10.5 s old (limit 10 s); delayed quote, not live; "
        "price 100 is more than 10 % from the previous close 50"
    )
