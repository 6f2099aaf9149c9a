"""The account from the rows of a download: complete, or an error that names what is missing."""

from __future__ import annotations

import pytest

from core.broker.ib.account import disagreements, held, ledger_of
from core.broker.ib.messages import AccountValueRow, ContractRow, PortfolioRow, PositionRow
from core.errors import ConnectionLost
from core.model import CAD, USD
from core.money import D

ACCOUNT = "DU1234567"
UNSET = "1.7976931348623157E308"
REPORTED = {
    ("NetLiquidation", "CAD"): "141002.50",
    ("ExcessLiquidity", "CAD"): "100000",
    ("BuyingPower", "CAD"): "400000",
    ("MaintMarginReq", "CAD"): "250.5",
    ("CashBalance", "CAD"): "5000",
    ("CashBalance", "USD"): "-100.25",
    ("CashBalance", "BASE"): "4860",
    ("ExchangeRate", "CAD"): "1.00",
    ("ExchangeRate", "USD"): "1.36",
    ("ExchangeRate", "BASE"): "1.00",
    ("AccountReady", ""): "true",
}


def rows(**changes):
    """The rows, with some left out (None) or reported otherwise: `NetLiquidation_CAD="1"`."""
    reported = REPORTED | {tuple(key.split("_")): text for key, text in changes.items()}
    return [
        AccountValueRow(ACCOUNT, tag, text, currency) for (tag, currency), text in reported.items() if text is not None
    ]


def holding(quantity, con_id=1, symbol="VTI"):
    return PortfolioRow(
        ACCOUNT, ContractRow(con_id, symbol, "STK", USD), D(quantity), D(100), D(100) * D(quantity), D(90)
    )


def currency(quantity):
    """Money shown as a position, whose quantity comes from the ledger."""
    return PortfolioRow(ACCOUNT, ContractRow(3, "USD", "CASH", CAD), D(quantity), D("1.36"), D(680), D("1.35"))


def position(quantity, con_id=1, symbol="VTI"):
    return PositionRow(ACCOUNT, ContractRow(con_id, symbol, "STK", USD), D(quantity))


def test_figures_are_in_the_base_currency_and_the_sum_over_currencies_is_no_currency():
    ledger = ledger_of(rows())
    assert ledger.base == CAD
    assert ledger.totals["NetLiquidation"] == D("141002.50")
    assert ledger.cash == {CAD: D(5000), USD: D("-100.25")}
    assert ledger.rates == {CAD: D(1), USD: D("1.36")}


def test_the_latest_row_of_a_figure_counts():
    assert ledger_of([*rows(), AccountValueRow(ACCOUNT, "CashBalance", "7", "CAD")]).cash[CAD] == D(7)
    with pytest.raises(ConnectionLost, match="CashBalance of CAD"):
        ledger_of([*rows(), AccountValueRow(ACCOUNT, "CashBalance", UNSET, "CAD")])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"NetLiquidation_CAD": None}, ["NetLiquidation"]),
        ({"NetLiquidation_CAD": "n/a"}, ["NetLiquidation"]),
        ({"NetLiquidation_USD": "5"}, ["NetLiquidation", "one currency"]),
        ({"ExcessLiquidity_CAD": None}, ["ExcessLiquidity"]),
        ({"BuyingPower_CAD": None, "MaintMarginReq_CAD": None}, ["BuyingPower", "MaintMarginReq"]),
        ({"CashBalance_CAD": None}, ["CashBalance of CAD"]),
        ({"ExchangeRate_USD": None}, ["ExchangeRate of USD"]),
        ({"ExchangeRate_USD": "nan"}, ["ExchangeRate of USD"]),
        ({"NetLiquidation_CAD": UNSET}, ["NetLiquidation"]),
        ({"ExcessLiquidity_CAD": UNSET}, ["ExcessLiquidity"]),
        ({"BuyingPower_CAD": UNSET, "MaintMarginReq_CAD": UNSET.replace("E", "e+")}, ["BuyingPower", "MaintMarginReq"]),
        ({"CashBalance_USD": UNSET}, ["CashBalance of USD"]),
        ({"ExchangeRate_USD": UNSET}, ["ExchangeRate of USD"]),
    ],
)
def test_what_is_missing_is_named(changes, named):
    with pytest.raises(ConnectionLost) as error:
        ledger_of(rows(**changes))
    assert all(name in error.value.message for name in named)
    assert len(error.value.message) < 100


def test_the_last_row_of_each_holding_counts_and_an_empty_one_is_none():
    listed = held([holding(5), holding(3, 2, "BND"), holding(7), holding(0, 3, "IJR")])
    assert [(row.contract.symbol, row.quantity) for row in listed] == [("BND", D(3)), ("VTI", D(7))]


@pytest.mark.parametrize(
    ("holdings", "positions", "expected"),
    [
        ([holding(5)], [position("5.0")], []),
        ([holding(5)], [position(7)], ["VTI: 5 and 7"]),
        ([holding(5)], [], ["VTI: 5 and 0"]),
        ([], [position(7), position(1, 2, "BND")], ["BND: 0 and 1", "VTI: 0 and 7"]),
        ([], [position(0)], []),
        ([currency(500)], [], []),
    ],
)
def test_two_lists_that_disagree_are_named_with_both_quantities(holdings, positions, expected):
    assert disagreements(holdings, positions) == expected
