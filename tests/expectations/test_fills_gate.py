"""The fills gate counts what was traded again: order by order, and against what the account has afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import contract, fill, order_record, plan, position, snapshot, trade_line
from gate_samples import only

from core import frames
from core.model import CAD, USD, USD_CAD, FxLeg, OrderType, SecurityType, Stage
from core.money import D
from expectations.fills import fills_suite
from expectations.gate import refusal, run_gate

NAN = float("nan")
PAIR = contract(USD_CAD, security_type=SecurityType.CASH, currency=CAD)
RATES = {USD: D(1), CAD: D("0.73")}


def records():
    converted = fill(
        "500", "1.3702", exec_id="f.01.01", order_ref="RB-ABCDEFGHIJ23-F1-1", symbol=USD_CAD, commission=D(2)
    )
    return [
        order_record(USD_CAD, converted, ref="RB-ABCDEFGHIJ23-F1-1", contract=PAIR, stage=Stage.FX, quantity=D(500),
                     limit_price=None, order_type=OrderType.MKT),
        order_record("VTI", fill("6", exec_id="a.01.01"), fill("4", "100.00", exec_id="b.01.01")),
    ]  # fmt: skip


def table(**changes):
    before = snapshot(position("VTI", "290"), cash={USD: D(2500), CAD: D(1000)}, rates=RATES)
    # 600.06 + 400.00 + 2 for the shares, 2 for the conversion, which brought 500
    cash = {USD: D("2500") + 500 - D("1000.06") - 4, CAD: D(1000) - 500 * D("1.3702")}
    after = snapshot(position("VTI", "300"), cash=cash | changes.pop("cash", {}), rates=RATES)
    leg = FxLeg(D(500), OrderType.MKT, None, D("1.3709"), D("1.3701"), D(685), D(498), "")
    return frames.fills(changes.pop("records", records()), plan(trade_line(), fx=leg), before.holdings, after.holdings)


def faults(frame, *messages):
    suite = fills_suite()
    found = run_gate("fills", frame, only(suite, *messages) if messages else suite)
    return [(f"{fault.message}: {', '.join(fault.rows)}", fault.is_critical) for fault in found.faults]


def test_fills_that_explain_the_account_pass():
    assert faults(table()) == []


WRONG = [
    ("execution", "b.01", "execution counted twice: VTI, VTI", True),
    ("shares", 6.01, "more filled than ordered: VTI, VTI", True),
    ("shares", 0.0, "shares not above 0: VTI", True),
    ("shares", NAN, "no shares: VTI", True),
    ("approved_quantity", 9.0, "more filled than approved: VTI", True),
    ("price", 0.0, "price not above 0: VTI", True),
    ("side", "SELL", "not what its order trades: VTI", True),
    ("symbol", "VOO", "not what its order trades: VOO", True),
    ("ref", None, "no ref: VTI", True),
    ("price", 100.02, "filled at a worse price than its limit: VTI", False),
    ("shares", 5.0, "position changed by something else than our fills: VTI", False),
    ("price", 100.0, "cash changed by something else than our fills and commissions: cash USD", False),
    ("commission", 1.02, "cash changed by something else than our fills and commissions: cash USD", False),
    ("commission", NAN, "no commission: VTI", False),
    ("commission_currency", "CAD", "cash changed by something else than our fills and commissions: cash CAD, cash USD",
     False),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value", "expected", "is_critical"), WRONG)
def test_one_wrong_cell_of_a_fill_is_found(column, value, expected, is_critical):
    frame = table()
    [first, *_] = frame.index[frame["symbol"] == "VTI"]
    frame.loc[first, column] = value
    assert faults(frame, expected.partition(": ")[0]) == [(expected, is_critical)]


@pytest.mark.parametrize(("amount", "is_explained"), [("0.01", True), ("0.02", False), ("-0.02", False)])
def test_cash_is_explained_to_the_cent(amount, is_explained):
    found = faults(table(cash={USD: D("1995.94") + D(amount)}))
    message = "cash changed by something else than our fills and commissions: cash USD"
    assert found == ([] if is_explained else [(message, False)])


def test_with_an_unknown_commission_there_is_no_sum_to_compare():
    conversion, bought = records()
    unknown = replace(bought, fills=(replace(bought.fills[0], commission=None), *bought.fills[1:]))
    assert faults(table(records=[conversion, unknown])) == [("no commission: VTI", False)]


def test_without_the_account_afterwards_the_fills_are_checked_alone():
    frame = frames.fills(records(), plan(trade_line()), None, None)
    assert set(frame["kind"]) == {"fill"}
    assert faults(frame, "more filled than ordered") == []


def test_more_filled_than_ordered_fails_the_run_and_says_where_to_look():
    frame = table()
    frame.loc[frame["symbol"] == "VTI", "ordered"] = 9.0
    error = refusal(run_gate("fills", frame, fills_suite()))
    assert "more filled than ordered: VTI, VTI" in str(error)
    assert "compare the orders with TWS" in error.in_full
