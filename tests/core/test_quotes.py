"""A quote becomes a price by a chain that goes round once; what cannot be trusted is absent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOW, quote
from hypothesis import given
from hypothesis import strategies as st
from planning_builders import plan_settings

from core.market.quotes import completed, judge, refusal_texts
from core.model import Price, PriceSource, QuoteRefusal
from core.money import D

LAST, MIDPOINT, BIDASK, SNAPSHOT = (
    PriceSource.LAST,
    PriceSource.MIDPOINT,
    PriceSource.BIDASK,
    PriceSource.SNAPSHOT,
)


def nbbo(found):
    return judge(found, plan_settings(), NOW).nbbo


REFUSAL = QuoteRefusal("Not subscribed. (354)", "subscribe")


def price_of(found, settings, now):
    return judge(found, settings, now).price


def lacks_price(found, settings):
    return judge(found, settings, NOW).price is None and judge(found, settings, NOW).needs_snapshot


def of(bid=None, ask=None, last=None, **more):
    """A quote with exactly these values present."""
    given_values = {"bid": bid, "ask": ask, "last": last}
    return quote(**{name: None if value is None else D(value) for name, value in given_values.items()}, **more)


def test_the_nbbo_has_a_mid_and_a_spread_in_dollars_and_bps():
    market = nbbo(of(bid="99.99", ask="100.01"))
    assert market is not None
    assert (market.mid, market.spread, market.spread_bps) == (D("100"), D("0.02"), D("2"))


def test_a_locked_market_is_usable():
    market = nbbo(of(bid="10", ask="10"))
    assert market is not None
    assert (market.mid, market.spread_bps) == (D(10), D(0))


@pytest.mark.parametrize(
    ("unusable", "why"),
    [
        (of(ask="10"), "no bid"),
        (of(bid="10"), "no ask"),
        (of(last="10"), "no bid and no ask"),
        (of(bid="0", ask="10"), "no bid"),
        (of(bid="-1", ask="-1"), "no bid and no ask"),
        (of(bid="10.01", ask="10.00"), "crossed, bid 10.01 above ask 10.00"),
        (of(bid="10", ask="11", is_halted=True), "trading is halted"),
        (of(refusal=REFUSAL), "Not subscribed. (354)"),
    ],
)
def test_a_market_without_two_sound_sides_is_no_nbbo_and_says_why(unusable, why):
    assert nbbo(unusable) is None
    assert judge(unusable, plan_settings(), NOW).why_no_nbbo == why


def test_a_sound_market_needs_no_excuse():
    assert judge(of(bid="10", ask="10"), plan_settings(), NOW).why_no_nbbo == ""


@pytest.mark.parametrize(
    ("start", "bid", "ask", "last", "value", "source"),
    [
        (LAST, "99", "101", "100.5", "100.5", LAST),
        (LAST, "99", "101", None, "100", MIDPOINT),
        (LAST, "99", None, None, "99", BIDASK),
        (LAST, None, "101", None, "101", BIDASK),
        (LAST, "99", "101", "0", "100", MIDPOINT),
        (LAST, "99", "101", "-1", "100", MIDPOINT),
        (MIDPOINT, "99", "101", "100.5", "100", MIDPOINT),
        (MIDPOINT, "99", None, "100.5", "99", BIDASK),
        (MIDPOINT, None, None, "100.5", "100.5", LAST),
        (BIDASK, "99", "101", "100.5", "99", BIDASK),
        (BIDASK, None, "101", "100.5", "101", BIDASK),
        (BIDASK, "0", "101", "100.5", "101", BIDASK),
        (BIDASK, None, None, "100.5", "100.5", LAST),
    ],
)
def test_the_chain_starts_at_the_chosen_source_and_goes_round_once(start, bid, ask, last, value, source):
    found = price_of(of(bid, ask, last), plan_settings(price_source=start), NOW)
    assert found == Price(D(value), source)


@pytest.mark.parametrize("start", [LAST, MIDPOINT, BIDASK])
@pytest.mark.parametrize("broken", [of("101", "99", "100"), of("99", "101", "100", is_halted=True)])
def test_a_crossed_or_halted_quote_is_valued_by_its_last_only(start, broken):
    assert price_of(broken, plan_settings(price_source=start), NOW) == Price(D(100), LAST)
    assert judge(broken, plan_settings(), NOW).sides == (None, None)


@pytest.mark.parametrize("start", [LAST, MIDPOINT, BIDASK])
@pytest.mark.parametrize("broken", [of("101", "99"), of("99", "101", is_halted=True), of(), of("0", "0", "0")])
def test_without_a_last_a_crossed_halted_or_empty_quote_has_no_price(start, broken):
    assert price_of(broken, plan_settings(price_source=start), NOW) is None
    assert lacks_price(broken, plan_settings(price_source=start))


@pytest.mark.parametrize("start", [LAST, MIDPOINT, BIDASK])
@pytest.mark.parametrize(
    ("bid", "ask", "last", "value"),
    [("99", "101", "100.5", "100.5"), ("99", "101", None, "100"), ("99", None, None, "99"), (None, "101", None, "101")],
)
def test_a_snapshot_is_valued_by_last_then_mid_then_a_side_wherever_the_chain_starts(start, bid, ask, last, value):
    found = price_of(of(bid, ask, last, is_snapshot=True), plan_settings(price_source=start), NOW)
    assert found == Price(D(value), SNAPSHOT)


def test_a_snapshot_does_not_count_unless_the_fallback_is_on():
    snapshot = of("99", "101", "100", is_snapshot=True)
    assert price_of(snapshot, plan_settings(fallback_to_snapshot=False), NOW) is None
    assert lacks_price(snapshot, plan_settings(fallback_to_snapshot=False))
    assert not lacks_price(snapshot, plan_settings())


def test_an_empty_snapshot_has_no_price():
    assert price_of(of(is_snapshot=True), plan_settings(), NOW) is None


# --- a last trade that the market contradicts


@pytest.mark.parametrize(("last", "text"), [("108", "108.00"), ("99.99", "99.99"), ("500.1", "500.10")])
def test_a_last_outside_a_fresh_market_that_is_not_wide_is_no_price_and_the_source_says_so(last, text):
    found = price_of(of("100.00", "100.01", last), plan_settings(), NOW)
    assert (found.value, found.source) == (D("100.005"), MIDPOINT)
    assert found.source_text == f"midpoint (last {text} outside 100.00–100.01)"


@pytest.mark.parametrize("last", ["100.00", "100.005", "100.01"])
def test_a_last_at_or_between_bid_and_ask_is_the_price(last):
    found = price_of(of("100.00", "100.01", last), plan_settings(), NOW)
    assert (found, found.source_text) == (Price(D(last), LAST), "last")


@pytest.mark.parametrize(
    "weak",
    [
        of("100.00", "100.01", "108", taken_at=NOW - timedelta(seconds=11)),
        of("99.70", "100.30", "108"),
        of("100.01", "100.00", "108"),
        of("100.00", "100.01", "108", is_halted=True),
        of("100.00", None, "108"),
    ],
    ids=["stale", "wide", "crossed", "halted", "one-sided"],
)
def test_a_market_that_is_itself_questionable_contradicts_no_last(weak):
    assert price_of(weak, plan_settings(), NOW) == Price(D(108), LAST)


def test_a_spread_of_exactly_the_wide_mark_still_contradicts_a_last():
    found = price_of(of("99.75", "100.25", "108"), plan_settings(), NOW)
    assert (found.value, found.source) == (D(100), MIDPOINT)


@pytest.mark.parametrize(("start", "value"), [(MIDPOINT, "100.005"), (BIDASK, "100")])
def test_where_the_chain_does_not_reach_the_last_nothing_is_said_of_it(start, value):
    found = price_of(of("100.00", "100.01", "108"), plan_settings(price_source=start), NOW)
    assert (found.value, found.source_text) == (D(value), start.value)


def test_a_snapshot_whose_last_is_outside_its_market_is_valued_by_its_middle():
    found = price_of(of("100.00", "100.01", "108", is_snapshot=True), plan_settings(), NOW)
    assert found.source_text == "snapshot (midpoint, last 108.00 outside 100.00–100.01)"


# --- stream and snapshot together

LATER = NOW + timedelta(seconds=3)


@pytest.mark.parametrize(
    ("streamed", "snapshot", "start", "value", "source"),
    [
        (of("99"), of("99", "101", "100.5"), LAST, "100.5", "snapshot (last)"),
        (of("99"), of("99", "101", "100.5"), MIDPOINT, "100", "snapshot (midpoint)"),
        (of("99"), of("98.90", "101"), LAST, "99.95", "snapshot (midpoint)"),
        (of("99"), of(None, "101"), MIDPOINT, "100", "snapshot (midpoint)"),
        (of(None, "101"), of("99"), BIDASK, "99", "snapshot (bidask)"),
        (of("99"), of(None, None, "100.5"), BIDASK, "99", "bidask"),
        (of(last="100.5"), of("99", "101"), LAST, "100.5", "last"),
        (
            of(last="108"),
            of("100.00", "100.01"),
            LAST,
            "100.005",
            "snapshot (midpoint, last 108.00 outside 100.00–100.01)",
        ),
        (of(), of("99", "101"), MIDPOINT, "100", "snapshot"),
        (of("101", "100"), of("99", "101"), BIDASK, "100", "snapshot"),
    ],
)
def test_the_chain_is_walked_over_stream_and_snapshot_together(streamed, snapshot, start, value, source):
    settings = plan_settings(price_source=start)
    both = completed(streamed, replace(snapshot, taken_at=LATER, is_snapshot=True), settings)
    found = price_of(both, settings, LATER)
    assert (found.value, found.source_text) == (D(value), source)


def test_what_a_snapshot_fills_in_makes_the_quote_no_fresher_than_the_rest_of_it():
    both = completed(of("99"), of(None, "101", taken_at=LATER, is_snapshot=True), plan_settings())
    assert (both.bid, both.ask, both.taken_at) == (D(99), D(101), NOW)


def test_a_halted_symbol_gets_no_market_from_a_snapshot():
    both = completed(of(last="100", is_halted=True), of("99", None, is_snapshot=True), plan_settings())
    assert (both.bid, both.last) == (None, D(100))


@pytest.mark.parametrize(
    ("age_ms", "stale"), [(-1, False), (0, False), (9_999, False), (10_000, False), (10_001, True)]
)
def test_a_quote_is_stale_only_when_strictly_older_than_the_limit(age_ms, stale):
    taken = NOW - timedelta(milliseconds=age_ms)
    assert judge(quote(taken_at=taken), plan_settings(), NOW).is_stale is stale
    assert judge(quote(taken_at=taken), plan_settings(), NOW).needs_another_look is stale


@pytest.mark.parametrize("poor", [of(ask="10"), of(bid="10"), of("11", "10"), of("10", "11", is_halted=True), of()])
def test_a_fresh_quote_without_a_usable_market_needs_another_look(poor):
    assert judge(poor, plan_settings(), NOW).needs_another_look


def test_a_quote_that_the_broker_refuses_is_not_asked_for_again():
    for verdict in (judge(of(refusal=REFUSAL), plan_settings(), NOW + timedelta(hours=h)) for h in (0, 1)):
        assert (verdict.price, verdict.needs_another_look, verdict.needs_snapshot) == (None, False, False)


def test_the_brokers_words_stand_once_for_all_symbols_that_they_are_about():
    other = QuoteRefusal("No such thing (200)", "")
    refused = [quote(symbol, refusal=REFUSAL) for symbol in ("VTI", "BND")]
    found = refusal_texts([quote("AGG"), *refused, quote("OLD", refusal=other)])
    assert found == ("BND, VTI: Not subscribed. (354)", "OLD: No such thing (200)")


def test_a_fresh_two_sided_quote_does_not_need_another_look():
    assert not judge(quote(last=None), plan_settings(), NOW).needs_another_look


maybe_price = st.none() | st.decimals("-1", "200", places=2)


@given(maybe_price, maybe_price, maybe_price, st.booleans(), st.booleans(), st.sampled_from([LAST, MIDPOINT, BIDASK]))
def test_a_price_is_positive_and_exists_whenever_a_last_does(bid, ask, last, halted, snapshot, start):
    found = price_of(
        quote(bid=bid, ask=ask, last=last, is_halted=halted, is_snapshot=snapshot),
        plan_settings(price_source=start),
        NOW,
    )
    assert found is None or found.value > 0
    assert found is not None or last is None or last <= 0
