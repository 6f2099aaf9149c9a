"""What an account is worth by our own prices, with numbers worked by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_builders import account, at, case, etf, held, plan_settings, share

from core.errors import ContractNotFound, DataRefused, MarketDataMissing
from core.model import CAD, USD, USD_CAD, Currency, PriceSource, QuoteRefusal, SecurityType, Untargeted
from core.money import D, Money
from core.planning.valuation import in_usd, value_account

EUR = Currency("EUR")


def value(inputs, settings=None):
    settings = settings or plan_settings()
    return value_account(inputs.snapshot, inputs.targets, inputs.contracts, inputs.judge(settings), settings)


def test_net_liq_is_cash_at_the_accounts_own_rate_and_shares_at_our_price():
    own = account(held("VTI", "100", "251"), held("BND", "50", "72"), cash={USD: "1000", CAD: "500"})
    found = value(case({"VTI": "0.6", "BND": "0.4"}, own, at("VTI", "250"), at("BND", "72.10")))
    # 1 000 + 500 × 0.8 + 100 × 250 + 50 × 72.10
    assert found.net_liq == D(30005)
    assert found.broker_net_liq == D(30100)
    assert found.gross_position_value == D(28605)
    assert found.cash == {USD: D(1000), CAD: D(500)}
    assert found.usd_per_funding == D("0.8")


def test_an_account_based_in_cad_has_the_brokers_figures_converted():
    own = account(
        held("VTI", "100"),
        base=CAD,
        cash={CAD: "2500", USD: "0"},
        excess_liquidity=Money(D(11250), CAD),
        maintenance_margin=Money(D(3125), CAD),
        buying_power=Money(D(45000), CAD),
    )
    found = value(case({"VTI": "1"}, own))
    # one USD is 1.25 CAD: 2 500 CAD are 2 000 USD beside 100 × 100 USD
    assert (found.net_liq, found.broker_net_liq) == (D(12000), D(12000))
    assert (found.excess_liquidity, found.maintenance_margin, found.buying_power) == (D(9000), D(2500), D(36000))
    assert found.usd_per_funding == D("0.8")


# --- hold_symbols, and holdings without a price ----------------------------------------------------


def test_a_name_in_hold_symbols_that_is_not_held_is_warned_of_for_it_protects_nothing():
    settings = plan_settings(hold_symbols=frozenset({"RSX", "RSXX", "ABC"}))
    inputs = case({"VTI": "0.99"}, account(held("VTI", "100"), held("RSX", "50")), at("VTI"), at("RSX"))
    found = value_account(inputs.snapshot, inputs.targets, inputs.contracts, inputs.judge(settings), settings)
    assert found.warnings == (
        "[rebalance] hold_symbols names what is not held: ABC, RSXX; is it written as the broker has it?",
    )


UNMARKED = {"market_price": None, "market_value": None}
LEFT_ALONE = "leaves alone, at the broker's mark or else at 0, what no longer trades"
NO_PRICE = {"bid": None, "ask": None, "last": None}
HOLD = plan_settings(hold_symbols=frozenset({"RSX"}))


def test_a_held_symbol_stays_outside_at_the_brokers_mark():
    own = account(held("VTI", "100"), held("RSX", "50", "20"))
    found = value(case({"VTI": "1"}, own, at("RSX", "21")), HOLD)
    (outside,) = found.outside
    assert (outside.symbol, outside.value, outside.why) == ("RSX", D(1000), "in [rebalance] hold_symbols")
    assert (found.investable, found.untargeted, found.warnings) == (D(10000), frozenset(), ())


@pytest.mark.parametrize("kind", [SecurityType.ETF, SecurityType.STOCK])
def test_what_the_broker_has_no_mark_for_is_valued_by_its_quote(kind):
    rsx = held("RSX", "50", contract=etf("RSX", security_type=kind), **UNMARKED)
    own = account(held("VTI", "100"), rsx, net_liq=Money(D(11050), USD), excess_liquidity=Money(D(9000), USD))
    inputs = case({"VTI": "1"}, own, at("RSX", "21"), contracts={"RSX": rsx.contract})
    assert value(inputs, HOLD).outside[0].value == D(1050)


@pytest.mark.parametrize("mark", [UNMARKED, {"market_price": D(0), "market_value": D(0)}])
def test_a_held_symbol_without_any_price_counts_as_0_with_a_warning(mark):
    own = account(held("VTI", "100"), held("RSX", "50", **mark), net_liq=Money(D(10000), USD))
    found = value(case({"VTI": "1"}, own, at("RSX", **NO_PRICE)), HOLD)
    assert (found.net_liq, found.outside[0].value) == (D(10000), D(0))
    assert found.warnings == ("RSX: 50 held in [rebalance] hold_symbols have no price anywhere and count as 0",)


@pytest.mark.parametrize("kind", [SecurityType.ETF, SecurityType.STOCK])
def test_any_other_holding_without_a_price_is_refused_and_hold_symbols_named(kind):
    rsx = held("RSX", "50", contract=etf("RSX", security_type=kind), **UNMARKED)
    own = account(held("VTI", "100"), rsx, net_liq=Money(D(10000), USD))
    with pytest.raises(MarketDataMissing, match="no usable price for RSX") as refused:
        value(case({"VTI": "1"}, own, at("RSX", **NO_PRICE), contracts={"RSX": rsx.contract}))
    assert refused.value.next_step == (
        f"[rebalance] hold_symbols = RSX {LEFT_ALONE};"
        " else check the market data subscriptions, or run again in market hours"
    )


REFUSED = NO_PRICE | {"refusal": QuoteRefusal("Not subscribed. (354)", "subscribe to the data")}
UNKNOWN = NO_PRICE | {"refusal": QuoteRefusal("No security definition (200)", "look it up", is_unknown=True)}


@pytest.mark.parametrize(
    ("refused", "words", "step"),
    [
        (REFUSED, "Not subscribed. (354)", "subscribe to the data"),
        (UNKNOWN, "No security definition (200)", "look it up"),
    ],
)
def test_a_holding_whose_data_the_broker_refuses_names_hold_symbols_and_the_brokers_words(refused, words, step):
    own = account(held("VTI", "100"), held("RSX", "50"), net_liq=Money(D(10000), USD))
    with pytest.raises(MarketDataMissing, match="no usable price for RSX") as error:
        value(case({"VTI": "1"}, own, at("RSX", **refused)))
    assert error.value.faults == (f"RSX: {words}",)
    assert error.value.next_step == f"[rebalance] hold_symbols = RSX {LEFT_ALONE}; else {step}"


@pytest.mark.parametrize("refused", [REFUSED, UNKNOWN])
def test_what_need_not_have_a_price_may_be_refused(refused):
    own = account(held("VTI", "100"), held("RSX", "50", **UNMARKED), net_liq=Money(D(10000), USD))
    inputs = case({"VTI": "1"}, own, at("RSX", **refused))
    assert value(inputs, HOLD).warnings == (
        "RSX: 50 held in [rebalance] hold_symbols have no price anywhere and count as 0",
    )
    marked = account(held("VTI", "100"), held("RSX", "50", "20"))
    held_by_setting = plan_settings(untargeted=Untargeted.HOLD)
    assert value(case({"VTI": "1"}, marked, at("RSX", **refused)), held_by_setting).outside[0].value == D(1000)


def test_targets_that_are_not_subscribed_are_told_to_subscribe_before_anything_else():
    own = account(held("RSX", "50", **UNMARKED), cash={USD: "9000"})
    with pytest.raises(MarketDataMissing, match="no usable price for BND, RSX, VTI") as error:
        value(case({"VTI": "0.5", "BND": "0.5"}, own, *(at(each, **REFUSED) for each in ("VTI", "BND", "RSX"))))
    assert error.value.next_step == f"subscribe to the data; [rebalance] hold_symbols = RSX {LEFT_ALONE}"
    assert error.value.faults == ("BND, RSX, VTI: Not subscribed. (354)",)


def test_a_target_that_the_broker_finds_no_contract_for_is_that():
    quotes = at("VTI", **UNKNOWN), at("BND", **REFUSED), at("AGG", **NO_PRICE)
    with pytest.raises(ContractNotFound, match="no usable price for AGG, BND, VTI") as error:
        value(case({"VTI": "0.4", "BND": "0.3", "AGG": "0.3"}, account(cash={USD: "9000"}), *quotes))
    assert error.value.next_step == (
        "check the market data subscriptions, or run again in market hours; subscribe to the data; look it up"
    )


def test_a_target_without_a_price_is_no_matter_for_hold_symbols():
    with pytest.raises(MarketDataMissing) as refused:
        value(case({"VTI": "1"}, account(cash={USD: "100"}), at("VTI", **NO_PRICE)))
    assert refused.value.next_step == "check the market data subscriptions, or run again in market hours"


def test_the_quote_of_another_listing_values_nothing():
    other = held("VTI", "50", contract=etf("VTI", con_id=7), **UNMARKED)
    own = account(held("VTI", "100"), other, net_liq=Money(D(10000), USD))
    with pytest.raises(MarketDataMissing, match="no usable price for VTI"):
        value(case({"VTI": "1"}, own))


# --- what may be invested -------------------------------------------------------------------------


def test_investable_is_net_liq_less_buffer_and_outside_holdings():
    own = account(held("VTI", "100"), share("AAPL", "10", "200"), cash={USD: "8000"})
    settings = plan_settings(cash_buffer_pct=D(1))
    found = value(case({"VTI": "1"}, own), settings)
    assert (found.net_liq, found.buffer, found.investable) == (D(20000), D(200), D(17800))


@pytest.mark.parametrize(
    ("position", "why"),
    [
        (share("AAPL", "10"), "not an ETF"),
        (held("XIC", "10", contract=etf("XIC", currency=CAD)), "in CAD, not in USD"),
        (
            held("VTI", "10", contract=etf("VTI.L", symbol="VTI")),
            "a different listing from the one that would be traded",
        ),
    ],
)
def test_what_the_plan_may_not_touch_stands_outside_with_its_reason(position, why):
    found = value(case({"VTI": "1"}, account(position, cash={USD: "1000"})))
    assert [holding.why for holding in found.outside] == [why]
    assert found.held == {"VTI": D(0)}


def test_the_same_ticker_on_another_exchange_in_cad_is_not_the_target():
    listed_in_toronto = held("VTI", "10", "100", contract=etf("VTI.TO", symbol="VTI", currency=CAD))
    found = value(case({"VTI": "1"}, account(listed_in_toronto, held("VTI", "5"), cash={USD: "1000"})))
    assert found.held == {"VTI": D(5)}
    assert [(holding.symbol, holding.quantity, holding.value) for holding in found.outside] == [("VTI", D(10), D(800))]


def test_an_etf_without_target_is_sold_or_held_by_setting():
    own = account(held("GLD", "10"), held("VTI", "10"), cash={USD: "1000"})
    inputs = case({"VTI": "1"}, own)
    sold = value(inputs)
    assert (sold.untargeted, sold.outside) == (frozenset({"GLD"}), ())
    kept = value(inputs, plan_settings(untargeted=Untargeted.HOLD))
    assert kept.untargeted == frozenset()
    assert [(holding.symbol, holding.value) for holding in kept.outside] == [("GLD", D(1000))]
    assert list(kept.held) == ["VTI"]


def test_a_held_etf_that_could_not_be_resolved_is_left_alone():
    inputs = case({"VTI": "1"}, account(held("GLD", "10"), held("VTI", "10")))
    del inputs.contracts["GLD"]
    assert value(inputs).outside[0].why == "a different listing from the one that would be traded"


def test_a_symbol_with_target_zero_is_a_target_and_not_untargeted():
    found = value(case({"VTI": "1", "GLD": "0"}, account(held("GLD", "10"))))
    assert found.untargeted == frozenset()
    assert found.held == {"GLD": D(10), "VTI": D(0)}


def test_a_cash_balance_shown_as_a_position_is_not_counted_twice():
    balance = held("CAD", "500", "0.8", contract=etf("CAD", security_type=SecurityType.CASH))
    found = value(case({"VTI": "1"}, account(balance, cash={USD: "1000", CAD: "500"}, net_liq=Money(D(1400), USD))))
    assert found.net_liq == D(1400)
    assert found.outside == ()


def test_a_position_of_nothing_is_no_position_and_two_of_a_kind_are_one():
    own = account(held("GLD", "0"), held("VTI", "3"), held("VTI", "4"))
    assert value(case({"VTI": "1"}, own)).held == {"VTI": D(7)}


@pytest.mark.parametrize("untargeted", list(Untargeted))
@pytest.mark.parametrize("currency", [USD, CAD])
def test_a_short_etf_is_refused_with_advice(untargeted, currency):
    short = held("XIC", "-5", contract=etf("XIC", currency=currency))
    settings = plan_settings(untargeted=untargeted)
    with pytest.raises(DataRefused, match="XIC -5") as refused:
        value(case({"VTI": "1"}, account(short, cash={USD: "9000"})), settings)
    assert "buy the short shares back" in refused.value.next_step


def test_a_short_share_is_left_alone_and_counted():
    found = value(case({"VTI": "1"}, account(share("AAPL", "-10"), cash={USD: "9000"})))
    assert found.outside[0].value == D(-1000)
    assert (found.net_liq, found.investable, found.gross_position_value) == (D(8000), D(9000), D(1000))


def test_a_holding_of_the_universe_needs_no_mark_of_the_brokers():
    bare = {"average_cost": None, "market_price": None, "market_value": None}
    inputs = case({"VTI": "1"}, account(held("VTI", "3", **bare), cash={USD: "9000"}, net_liq=Money(D(9300), USD)))
    assert value(inputs).net_liq == D(9300)


def test_every_symbol_without_a_price_is_named():
    nothing = {"bid": None, "ask": None, "last": None}
    inputs = case(
        {"A": "0.4", "B": "0.3", "C": "0.3"}, account(cash={USD: "9"}), at("A", **nothing), at("C", **nothing)
    )
    with pytest.raises(MarketDataMissing, match="no usable price for A, C"):
        value(inputs)
    del inputs.quotes["B"]
    with pytest.raises(MarketDataMissing, match="A, B, C"):
        value(inputs)


def test_the_source_of_each_price_is_kept():
    settings = plan_settings(price_source=PriceSource.MIDPOINT)
    found = value(case({"A": "1"}, account(cash={USD: "9"}), at("A", "100", "1", last=D(90))), settings)
    assert (found.prices["A"].value, found.prices["A"].source) == (D(100), PriceSource.MIDPOINT)


@pytest.mark.parametrize("rate", [None, D(0), D(-1)])
def test_money_in_a_currency_without_a_rate_is_refused(rate):
    rates = {USD: D(1)} | ({EUR: rate} if rate is not None else {})
    with pytest.raises(DataRefused, match="no usable exchange rate for EUR"):
        in_usd(D(5), EUR, rates)
    assert in_usd(D(0), EUR, rates) == 0


def test_an_outside_holding_in_a_currency_without_a_rate_is_refused():
    with pytest.raises(DataRefused, match="EUR"):
        value(case({"VTI": "1"}, account(share("SAP", "10", currency=EUR), cash={USD: "9000"})))


def test_an_account_that_names_no_cad_rate_has_none():
    assert value(case({"VTI": "1"}, account(cash={USD: "9"}, rates={USD: "1"}))).usd_per_funding is None


# --- an account of CAD that never had any USD -------------------------------------------------------

FX = plan_settings(fx__enabled=True)
NO_MARKET = {"bid": None, "ask": None}


def only_cad(*quotes):
    """125 000 CAD, whose books have no row for USD."""
    return case({"VTI": "1"}, account(cash={CAD: "125000"}, rates={CAD: "1"}, base=CAD), *quotes)


def test_books_without_a_rate_for_usd_take_the_mid_of_the_pair_with_a_warning():
    found = value(only_cad(at(USD_CAD, "1.25", "0.0001", last=D("1.3"))), FX)
    assert (found.net_liq, found.broker_net_liq, found.excess_liquidity) == (D(100_000), D(100_000), D(100_000))
    assert found.usd_per_funding == D("0.8")
    assert found.warnings == ("the account's books have no rate for USD yet: USD.CAD at its mid 1.25 is used",)


def test_the_books_own_rate_for_usd_goes_before_the_mid():
    own = account(cash={CAD: "125000"}, rates={CAD: "1", USD: "1.25"}, base=CAD)
    found = value(case({"VTI": "1"}, own, at(USD_CAD, "1.3")), FX)
    assert (found.net_liq, found.warnings) == (D(100_000), ())


@pytest.mark.parametrize(
    ("settings", "quote", "message", "next_step"),
    [
        (plan_settings(), {}, "USD", "set [fx] enabled = true, which takes that of USD.CAD, or"),
        (FX, NO_MARKET, "USD, and USD.CAD has none: no bid and no ask", "run again when USD.CAD is quoted, or"),
        (FX, {"ask": D("1.2")}, "USD, and USD.CAD has none: crossed, bid 1.25 above ask 1.2", "run again when"),
    ],
)
def test_without_conversion_or_a_market_of_the_pair_no_rate_is_a_refusal(settings, quote, message, next_step):
    with pytest.raises(DataRefused) as refusal:
        value(only_cad(at(USD_CAD, "1.25", **quote)), settings)
    assert refusal.value.message == f"the account reports no usable exchange rate for {message}"
    assert refusal.value.next_step.startswith(next_step)
    assert refusal.value.next_step.endswith("convert a few CAD to USD by hand once, then run again")


def test_without_a_quote_of_the_pair_no_rate_is_a_refusal():
    inputs = only_cad()
    del inputs.quotes[USD_CAD]
    with pytest.raises(DataRefused, match=r"USD, and USD\.CAD has none: no quote"):
        value(inputs, FX)


def test_usd_at_a_rate_of_nothing_is_refused_and_not_replaced():
    own = account(cash={CAD: "125000"}, rates={CAD: "1", USD: "0"}, base=CAD)
    with pytest.raises(DataRefused, match="for USD"):
        value(case({"VTI": "1"}, own), FX)


@pytest.mark.parametrize(
    ("broker", "warns"),
    [("10000", False), ("9900.990099", True), ("9900.990100", False), ("10101.01", False), ("10101.02", True)],
)
def test_more_than_one_percent_from_the_brokers_net_liq_is_a_warning(broker, warns):
    own = account(cash={USD: "10000"}, net_liq=Money(D(broker), USD))
    assert bool(value(case({"VTI": "1"}, own)).warnings) is warns


def test_too_far_from_the_brokers_net_liq_is_refused_with_the_figures():
    own = account(cash={USD: "10000"}, net_liq=Money(D("9523"), USD))
    with pytest.raises(DataRefused, match=r"10000\.00 USD and the broker's 9523\.00 USD are 5\.01 % apart"):
        value(case({"VTI": "1"}, own))
    loose = plan_settings(max_net_liq_gap_pct=D(6))
    assert "5.01 % apart" in value(case({"VTI": "1"}, own), loose).warnings[0]


def test_a_gap_limit_below_one_percent_refuses_too():
    own = account(cash={USD: "10000"}, net_liq=Money(D(9950), USD))
    with pytest.raises(DataRefused, match=r"0\.50 % apart, more than 0\.4 %"):
        value(case({"VTI": "1"}, own), plan_settings(max_net_liq_gap_pct=D("0.4")))


@pytest.mark.parametrize(
    ("mark", "gap"),
    [
        ("200", "50.0"),
        ("105.27", "5.0"),
        ("105.26", None),
        ("95.24", None),
        ("95.23", "5.0"),
        ("0", None),
        ("-1", None),
    ],
)
def test_a_price_far_from_the_brokers_own_mark_is_a_warning_that_names_both(mark, gap):
    own = account(held("VTI", "1", mark), held("BND", "1"), cash={USD: "100000"})
    warnings = value(case({"VTI": "0.5", "BND": "0.5"}, own)).warnings
    named = f"VTI: our price 100.00 (last) is {gap} % from the broker's own mark {mark}"
    assert [warning.startswith(named) for warning in warnings] == ([True] if gap else [])
    loose = plan_settings(max_mark_gap_pct=D(60))
    assert value(case({"VTI": "0.5", "BND": "0.5"}, own), loose).warnings == ()


def test_marks_that_are_far_off_stand_in_the_refusal_of_a_net_liq():
    own = account(held("VTI", "100", "200"), cash={USD: "9000"})
    with pytest.raises(DataRefused, match=r"apart, more than 5 %; VTI: our price 100\.00 \(last\) is 50\.0 %"):
        value(case({"VTI": "1"}, own))


def test_a_broker_that_says_nothing_is_there_is_not_believed():
    with pytest.raises(DataRefused, match="all of it apart"):
        value(case({"VTI": "1"}, account(cash={USD: "10"}, net_liq=Money(D(0), USD))))


@pytest.mark.parametrize("cash", ["0", "-1", "-5000"])
def test_an_account_with_nothing_to_invest_is_refused(cash):
    with pytest.raises(DataRefused, match="nothing to invest"):
        value(case({"VTI": "1"}, account(cash={USD: cash})))


@given(st.randoms(use_true_random=False), st.lists(st.decimals("0.01", "999", places=2), min_size=4, max_size=4))
def test_the_order_of_positions_cash_and_quotes_does_not_matter(rng: random.Random, prices):
    positions = [held(symbol, "7", str(p)) for symbol, p in zip("ABCD", prices, strict=True)]
    positions += [share("SAP", "3", "33.33", EUR), share("BMW", "4", "44.44", EUR)]
    rates = {USD: "1.37", CAD: "1", EUR: "1.49"}
    cash = {USD: "11.11", CAD: "22.22", EUR: "33.33"}
    quotes = [at(symbol, str(p)) for symbol, p in zip("ABCD", prices, strict=True)]
    weights = {"A": "0.3", "B": "0.3", "C": "0.4"}
    first = value(case(weights, account(*positions, cash=cash, rates=rates, base=CAD), *quotes))
    for things in (positions, quotes):
        rng.shuffle(things)
    cash = dict(rng.sample(sorted(cash.items()), 3))
    again = value(case(weights, account(*positions, cash=cash, rates=rates, base=CAD), *quotes))
    assert repr(first) == repr(again)
