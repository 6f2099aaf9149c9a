"""How much of the money that the fills on record brought the ledger lacks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import NOW, fill, order_record
from journals import RUN, run_record

from core.execution import unbooked
from core.journal.entries import RunState
from core.model import CAD, USD, USD_CAD, Holdings, Side, Stage
from core.model.refs import order_ref
from core.money import D

USUAL = D(1)
HELD = Holdings({}, {USD: D(2_000), CAD: D(10_000)}, NOW)


def lacking(shown, *trades, before=HELD):
    """What a ledger of so many USD lacks, after trades that were each one order of a run that began with 2 000 USD."""
    orders = {}
    for line, (stage, executed) in enumerate(trades, 1):
        ref = order_ref(RUN, stage, line, 1)
        orders[ref] = order_record("VTI", replace(executed, exec_id=f"{line}.01", order_ref=ref), ref=ref, stage=stage)
    return unbooked(RunState(run_record(), before={Stage.FX: before}, orders=orders), {USD: D(shown)}, USUAL)


SALE = Stage.SELL, fill("50", "100.00", side=Side.SELL)
UNCHARGED = Stage.SELL, fill("50", "100.00", side=Side.SELL, commission=None, commission_currency=None)
PURCHASE = Stage.BUY, fill("10", "72.00")
CONVERSION = Stage.FX, fill("3000", "1.37", symbol=USD_CAD)


@pytest.mark.parametrize(
    ("shown", "fills", "lacks"),
    [
        ("2000", [SALE], "4999.00"),
        ("6999", [SALE], "0"),
        ("6998.99", [SALE], "0"),
        ("9000", [SALE], "0"),
        ("2000", [CONVERSION], "2999.00"),
        ("4999", [CONVERSION], "0"),
        ("4999", [CONVERSION, SALE], "4999.00"),
        ("6278", [SALE, PURCHASE], "0"),
        ("2000", [PURCHASE], "0"),
        ("2000", [UNCHARGED], "5000.00"),
        ("6950", [UNCHARGED], "0"),
        ("6949", [UNCHARGED], "51.00"),
        ("1500", [], "500"),
    ],
)
def test_the_ledger_lacks_what_the_fills_brought_and_it_does_not_show(shown, fills, lacks):
    assert lacking(shown, *fills) == D(lacks)


def test_before_the_first_stage_nothing_can_be_lacking():
    assert unbooked(RunState(run_record()), {USD: D(0)}, USUAL) == 0
