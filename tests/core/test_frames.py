from datetime import timedelta

import pandas as pd
import pytest
from builders import NOW, contract, plan, position, quote, snapshot, still_line, trade_line
from report_samples import sample_plan

from core import frames
from core.model import (
    CAD,
    USD,
    Limit,
    ModelName,
    ModelWeight,
    OrderType,
    Price,
    PriceSource,
    SecurityType,
    Symbol,
    TickBand,
)
from core.money import D, Money


def row(frame, symbol):
    [found] = frame[frame["symbol"] == symbol].to_dict("records")
    return found


def test_portfolios_are_in_percent_with_their_lines():
    frame = frames.portfolios([ModelWeight(ModelName("SMURF"), Symbol("VTI"), D("0.125"), 7)])
    assert frame.to_dict("records") == [{"line": 7, "portfolio": "SMURF", "symbol": "VTI", "target_pct": 12.5}]


def test_a_symbol_that_pandas_would_read_as_missing_stays_a_symbol():
    frame = frames.portfolios([ModelWeight(ModelName("SMURF"), Symbol("NA"), D(1), 2)])
    assert frame["symbol"].tolist() == ["NA"]
    assert frame["symbol"].notna().all()


def test_an_account_is_positions_cash_and_figures_in_the_base_currency():
    held = snapshot(
        position("VTI", "10", "100"),
        position("XIC", "5", "40", contract=contract("XIC", currency=CAD)),
        cash={USD: D(-50), CAD: D(200)},
        base_currency=CAD,
        rates={CAD: D(1), USD: D("1.25")},
        net_liq=Money(D("1587.5"), CAD),
    )
    frame = frames.account(held)
    assert frame.set_index("symbol")["base_value"].to_dict() == pytest.approx(
        {
            "VTI": 1250.0,
            "XIC": 200.0,
            "cash USD": -62.5,
            "cash CAD": 200.0,
            "net liquidation value": 1587.5,
            "excess liquidity": 1062.5,
            "buying power": 5750.0,
            "maintenance margin": 375.0,
        }
    )
    assert row(frame, "VTI") | {"base_value": 0, "rate": 0} == {
        "symbol": "VTI", "kind": "position", "security_type": "ETF", "currency": "USD", "quantity": 10.0,
        "price": 100.0, "value": 1000.0, "rate": 0, "base_value": 0,
    }  # fmt: skip
    assert frame["kind"].value_counts().to_dict() == {"figure": 4, "position": 2, "cash": 2}


def test_an_amount_without_an_exchange_rate_has_no_value():
    frame = frames.account(snapshot(cash={USD: D(1), CAD: D(1)}))
    assert pd.isna(row(frame, "cash CAD")["base_value"])


def test_nothing_of_a_currency_is_nothing_whatever_its_rate():
    frame = frames.account(snapshot(cash={USD: D(1), CAD: D(0)}))
    assert row(frame, "cash CAD")["base_value"] == 0


def test_a_balance_that_shows_up_as_a_position_is_not_counted_twice():
    balance = position("USD", "5000", "1", contract=contract("USD", security_type=SecurityType.CASH))
    assert "USD" not in frames.account(snapshot(balance))["symbol"].tolist()


def test_absent_quotes_and_prices_are_nan_and_never_zero():
    found = {Symbol("VTI"): quote(bid=None, last=None), Symbol("USD.CAD"): quote("USD.CAD")}
    frame = frames.quotes(found, {}, {Symbol("VTI"), Symbol("BND")}, NOW)
    assert frame["symbol"].tolist() == ["BND", "USD.CAD", "VTI"]
    assert frame["is_valued"].tolist() == [True, False, True]
    assert frame[["bid", "last", "price"]].isna().loc[2].all()
    assert frame[["bid", "ask", "last", "price", "age_seconds"]].isna().loc[0].all()


def test_a_quote_has_an_age_in_seconds_and_the_price_that_planning_uses():
    found = {Symbol("VTI"): quote(taken_at=NOW - timedelta(seconds=12.5))}
    prices = {Symbol("VTI"): Price(D("100.00"), PriceSource.MIDPOINT)}
    assert row(frames.quotes(found, prices, prices, NOW), "VTI") == {
        "symbol": "VTI", "bid": 99.99, "ask": 100.01, "last": 100.0, "price": 100.0, "price_source": "midpoint",
        "age_seconds": 12.5, "data_type": "live", "is_valued": True,
    }  # fmt: skip


def test_a_plan_has_a_row_for_every_symbol_traded_or_not():
    frame = frames.plan(sample_plan())
    assert frame.set_index("symbol")["side"].to_dict() == {
        "SPY": "SELL", "ARKK": "SELL", "VTI": "BUY", "GLD": "NONE", "QQQ": "NONE",
    }  # fmt: skip
    assert row(frame, "VTI") | {"drift_bps": 0} == {
        "symbol": "VTI", "side": "BUY", "order_type": "LMT", "takes_fractions": False, "untargeted": False,
        "quantity": 97.0, "held": 290.0, "price": 100.0, "dollars": 9700.0, "target_pct": 60.0, "drift_bps": 0,
        "worst_price": 100.01, "limit_price": 100.01, "tick": 0.01,
    }  # fmt: skip


def test_a_market_order_and_a_line_at_rest_have_no_limit():
    frame = frames.plan(plan(trade_line(limit=Limit(OrderType.MKT, None, D("100.1"), None, "")), still_line()))
    assert frame["limit_price"].isna().all()
    assert frame["worst_price"].tolist() == pytest.approx([100.1, float("nan")], nan_ok=True)


def test_the_tick_is_that_of_the_band_the_limit_lies_in():
    bands = (TickBand(D(0), D("0.0001")), TickBand(D(1), D("0.01")), TickBand(D("100.01"), D("0.05")))
    made = plan(trade_line(), contracts={Symbol("VTI"): contract(ticks=bands)})
    assert frames.plan(made)["tick"].tolist() == [0.05]


def test_a_line_whose_contract_is_missing_has_no_tick_and_takes_no_fractions():
    frame = frames.plan(plan(trade_line(), contracts={}))
    assert frame["tick"].isna().all()
    assert not frame["takes_fractions"].any()


def test_other_securities_keep_their_kind():
    frame = frames.account(snapshot(position("AAPL", contract=contract("AAPL", security_type=SecurityType.STOCK))))
    assert row(frame, "AAPL")["security_type"] == "STK"
