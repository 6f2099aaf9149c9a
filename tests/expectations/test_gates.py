"""Each gate passes a sound table and finds every single thing that may be wrong with it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from builders import NOW, position, quote, snapshot
from gate_samples import SIZING, only
from report_samples import sample_plan

from core import frames
from core.errors import DataRefused, PortfoliosInvalid
from core.model import (
    CAD,
    USD,
    ModelName,
    ModelWeight,
    Price,
    PriceSource,
    Symbol,
)
from core.money import D, Money
from expectations.account import AccountChecks, account_suite
from expectations.gate import refusal, run_gate, suite_of
from expectations.plan import plan_suite
from expectations.portfolios import PortfolioChecks, portfolios_suite
from expectations.quotes import QuoteChecks, quotes_suite

NAN = float("nan")
MIX = PortfolioChecks({"SMURF": 0.8, "BADASS": 0.0, "GLTR": 0.2}, allow_margin=True, max_leverage=1.5)


def weights():
    rows = [("SMURF", "VTI", "0.6"), ("SMURF", "BRK B", "0.4"), ("GLTR", "GLD", "1.5"), ("GLTR", "CASH", "-0.5")]
    return [
        ModelWeight(ModelName(model), Symbol(symbol), D(weight), line)
        for line, (model, symbol, weight) in enumerate(rows, start=2)
    ]


def account():
    held = snapshot(
        position("VTI"),
        position("BND", "50"),
        cash={USD: D(2500), CAD: D(10)},
        rates={USD: D(1), CAD: D("0.73")},
        net_liq=Money(D("17507.30"), USD),
    )
    return frames.account(held)


def quotes():
    found = {
        Symbol("VTI"): quote(),
        Symbol("BND"): quote("BND", last=None),
        Symbol("GLD"): quote("GLD", bid=D("99.98")),
        Symbol("USD.CAD"): quote("USD.CAD", bid=None, ask=None, last=None),
    }
    prices = {
        Symbol("VTI"): Price(D("100.00"), PriceSource.LAST),
        Symbol("BND"): Price(D("100.00"), PriceSource.MIDPOINT),
        Symbol("GLD"): Price(D("99.98"), PriceSource.BIDASK),
    }
    return frames.quotes(found, prices, prices, NOW)


SUITES = {
    "portfolios": lambda: portfolios_suite(MIX),
    "account": lambda: account_suite(AccountChecks(max_gap_pct=5)),
    "quotes": lambda: quotes_suite(QuoteChecks(stale_seconds=10)),
    "plan": lambda: plan_suite(sample_plan(), SIZING),
}
TABLES = {
    "portfolios": lambda: frames.portfolios(weights()),
    "account": account,
    "quotes": quotes,
    "plan": lambda: frames.plan(sample_plan()),
}


def verdict(table, frame=None):
    return run_gate(table, TABLES[table]() if frame is None else frame, SUITES[table]())


def changed(table, symbol, column, value):
    frame = TABLES[table]()
    frame.loc[frame["symbol"] == symbol, column] = value
    return frame


@pytest.mark.parametrize("table", SUITES)
def test_a_sound_table_passes_without_a_warning(table):
    found = verdict(table)
    assert found.faults == ()
    assert found.checks >= 10
    assert refusal(found) is None


CRITICAL = [
    ("portfolios", "VTI", "portfolio", "SMERF", "unknown model: line 2: SMERF VTI"),
    ("portfolios", "VTI", "symbol", "=cmd()", "not a symbol: line 2: SMURF =cmd()"),
    ("portfolios", "VTI", "symbol", "VTI\n", "not a symbol: line 2: SMURF VTI\n"),
    ("portfolios", "VTI", "symbol", "BRK B", "symbol twice in one model: line 2: SMURF BRK B, line 3: SMURF BRK B"),
    ("portfolios", "VTI", "target_pct", -1.0, "target below 0: line 2: SMURF VTI"),
    ("portfolios", "CASH", "target_pct", 50.0, "CASH not below 0: line 5: GLTR CASH"),
    ("portfolios", "VTI", "target_pct", 60.011, "the model is not 100 %: line 2: SMURF VTI, line 3: SMURF BRK B"),
    ("portfolios", "GLD", "target_pct", 150.02, "assets above 150 %: line 4: GLTR GLD, line 5: GLTR CASH"),
    ("portfolios", "VTI", "target_pct", float("inf"), "the model is not 100 %: line 2: SMURF VTI, line 3: SMURF BRK B"),
    ("portfolios", "VTI", "target_pct", NAN, "no target_pct: line 2: SMURF VTI"),
    ("portfolios", "VTI", "symbol", None, "no symbol: line 2: SMURF (empty)"),
    ("account", "VTI", "quantity", -1.0, "short position in an ETF: VTI"),
    ("account", "VTI", "quantity", NAN, "no quantity: VTI"),
    ("account", "cash USD", "value", NAN, "no value: cash USD"),
    ("account", "cash USD", "base_value", float("inf"), "not an amount of money: cash USD"),
    ("account", "cash CAD", "rate", 0.0, "exchange rate not above 0: cash CAD"),
    ("account", "cash CAD", "rate", NAN, "no rate: cash CAD"),
    (
        "account",
        "cash USD",
        "base_value",
        3500.0,
        "positions and cash are more than 5 % from the broker's NetLiq: net liquidation value",
    ),
    ("account", "net liquidation value", "base_value", 0.0, "net liquidation value not above 0: net liquidation value"),
    ("quotes", "VTI", "symbol", "BND", "symbol quoted twice: BND, BND"),
    ("quotes", "VTI", "price", 0.0, "price not above 0: VTI"),
    ("quotes", "VTI", "price", 100.01, "price is not what its source says: VTI"),
    ("quotes", "BND", "price", 99.99, "price is not what its source says: BND"),
    ("quotes", "GLD", "price", 100.0, "price is not what its source says: GLD"),
    ("quotes", "VTI", "price_source", "guess", "unknown source: VTI"),
    ("plan", "SPY", "quantity", 26.0, "more sold than held: SPY"),
    ("plan", "VTI", "quantity", 0.0, "quantity does not fit the side: VTI"),
    ("plan", "VTI", "quantity", -97.0, "quantity does not fit the side: VTI"),
    ("plan", "GLD", "quantity", 1.0, "quantity does not fit the side: GLD"),
    ("plan", "SPY", "quantity", 2.5, "not a whole number of shares: SPY"),
    ("plan", "VTI", "dollars", 9700.02, "dollars are not quantity × price: VTI"),
    ("plan", "SPY", "dollars", 499.98, "below the minimum order: SPY"),
    ("plan", "VTI", "dollars", 10000.02, "above the maximum order: VTI"),
    ("plan", "VTI", "limit_price", 100.02, "limit worse than the worst price counted: VTI"),
    ("plan", "SPY", "limit_price", 600.09, "limit worse than the worst price counted: SPY"),
    ("plan", "VTI", "limit_price", 100.005, "limit between two ticks: VTI"),
    ("plan", "VTI", "limit_price", NAN, "limit worse than the worst price counted: VTI"),
    ("plan", "VTI", "side", "HOLD", "unknown side: VTI"),
    ("plan", "VTI", "order_type", "STP", "unknown order type: VTI"),
    ("plan", "GLD", "symbol", "VTI", "symbol planned twice: VTI, VTI"),
    ("plan", "VTI", "price", 0.0, "price not above 0: VTI"),
    ("plan", "VTI", "held", -1.0, "held below 0: VTI"),
    ("plan", "VTI", "target_pct", 60.001, "targets do not sum to the gross exposure: SPY, ARKK, VTI, GLD, QQQ"),
    ("plan", "VTI", "worst_price", 100.08, "buys cost more than there is: VTI"),
    ("plan", "VTI", "worst_price", NAN, "no worst_price: VTI"),
]


@pytest.mark.parametrize(("table", "symbol", "column", "value", "expected"), CRITICAL)
def test_one_wrong_cell_stops_the_run_and_names_its_row(table, symbol, column, value, expected):
    message, _, rows = expected.partition(": ")
    error = refusal(run_gate(table, changed(table, symbol, column, value), only(SUITES[table](), message)))
    assert isinstance(error, PortfoliosInvalid if table == "portfolios" else DataRefused)
    assert error.faults == (f"{message}: {rows}",)


WARNINGS = [
    (
        "account",
        "cash USD",
        "base_value",
        2750.0,
        "positions and cash are more than 1 % from the broker's NetLiq: net liquidation value",
    ),
    ("account", "VTI", "price", 98.0, "value more than 1 % from quantity × price: VTI"),
    ("account", "VTI", ["value", "base_value"], NAN, "no value: VTI"),
    ("quotes", "VTI", "price", NAN, "no price: VTI"),
    ("quotes", "VTI", "bid", NAN, "no bid: VTI"),
    ("quotes", "VTI", "ask", NAN, "no ask: VTI"),
    ("quotes", "VTI", "ask", 0.0, "ask not above 0: VTI"),
    ("quotes", "VTI", "bid", 100.02, "bid above ask: VTI"),
    ("quotes", "VTI", "age_seconds", 10.5, "quote older than 10 s, or from the future: VTI"),
    ("quotes", "VTI", "age_seconds", -6.0, "quote older than 10 s, or from the future: VTI"),
    ("quotes", "VTI", "age_seconds", NAN, "no age_seconds: VTI"),
    ("quotes", "VTI", "data_type", "delayed", "not live data: VTI"),
    ("quotes", "VTI", ["price", "last"], 106.0, "price more than 5 % from the middle of bid and ask: VTI"),
    ("plan", "VTI", "drift_bps", 10.0, "trades away from its target: VTI"),
    ("plan", "VTI", ["limit_price", "worst_price"], 94.0, "limit more than 5 % from the price: VTI"),
]


@pytest.mark.parametrize(("table", "symbol", "column", "value", "expected"), WARNINGS)
def test_one_odd_cell_is_a_warning_that_lets_pass(table, symbol, column, value, expected):
    message, _, rows = expected.partition(": ")
    found = run_gate(table, changed(table, symbol, column, value), only(SUITES[table](), message))
    assert not found.blocks
    assert refusal(found) is None
    assert [(fault.message, ", ".join(fault.rows)) for fault in found.faults] == [(message, rows)]


def test_a_holding_without_the_brokers_mark_is_a_warning_and_there_is_no_sum_to_compare():
    found = verdict("account", changed("account", "VTI", ["price", "value", "base_value"], NAN))
    assert {(fault.message, fault.is_critical) for fault in found.faults} == {("no price", False), ("no value", False)}


@pytest.mark.parametrize("table", SUITES)
def test_an_empty_table_stops_the_run(table):
    found = verdict(table, TABLES[table]().iloc[:0])
    assert (found.blocks, found.rows) == (True, 0)
    assert "the table is empty" in str(refusal(found))


@pytest.mark.parametrize(
    ("table", "column"),
    [("portfolios", "target_pct"), ("account", "base_value"), ("quotes", "price"), ("plan", "quantity")],
)
def test_a_column_of_nulls_never_passes_unnoticed(table, column):
    found = verdict(table, TABLES[table]().assign(**{column: NAN}))
    assert any(fault.message == f"no {column}" for fault in found.faults)


def test_a_suite_without_checks_stops_the_run():
    found = run_gate("quotes", quotes(), suite_of("quotes", []))
    assert found.blocks
    assert "there are no checks" in str(refusal(found))


@pytest.mark.parametrize(("table", "column"), [("quotes", "age_seconds"), ("plan", "drift_bps"), ("account", "symbol")])
def test_a_check_that_cannot_run_blocks_even_if_it_only_warns(table, column):
    found = verdict(table, TABLES[table]().drop(columns=column))
    assert found.blocks
    assert any(fault.could_not_run and fault.message.startswith("cannot be checked") for fault in found.faults)


def test_a_warning_that_cannot_be_checked_is_not_critical_and_blocks():
    found = verdict("quotes", quotes().drop(columns="data_type"))
    assert [(fault.is_critical, fault.could_not_run) for fault in found.faults] == [(False, True)]
    assert isinstance(refusal(found), DataRefused)


def test_a_model_of_the_mix_without_rows_stops_the_run():
    frame = frames.portfolios(weights()[:2])
    assert "a model of the mix has no rows" in str(refusal(verdict("portfolios", frame)))


def test_cash_needs_margin():
    suite = portfolios_suite(replace(MIX, allow_margin=False))
    error = refusal(run_gate("portfolios", frames.portfolios(weights()), suite))
    assert error.faults == ("CASH without margin: line 5: GLTR CASH",)


@pytest.mark.parametrize("source", [PriceSource.SNAPSHOT, PriceSource.BIDASK])
def test_a_snapshot_may_be_any_side(source):
    found = {Symbol("VTI"): quote()}
    prices = {Symbol("VTI"): Price(D("100.01"), source)}
    assert run_gate("quotes", frames.quotes(found, prices, prices, NOW), SUITES["quotes"]()).faults == ()


def test_eight_threads_at_once_get_the_right_verdicts():
    good, bad = quotes(), changed("quotes", "VTI", "price", 0.0)

    def blocks(number):
        suite = only(SUITES["quotes"](), "price not above 0", "no price")
        return run_gate("quotes", good if number % 2 else bad, suite).blocks

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(blocks, range(24))) == [True, False] * 12


def test_a_validation_prints_nothing(capfd):
    verdict("portfolios")
    assert capfd.readouterr() == ("", "")


def test_a_gate_says_nothing_on_its_own_but_its_verdict(capfd, caplog):
    with caplog.at_level("INFO"):
        run_gate("account", account(), account_suite(AccountChecks(max_gap_pct=5)))
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")
