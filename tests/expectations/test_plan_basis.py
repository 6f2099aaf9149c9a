"""A plan must follow from the account, the quotes and the models: the gate counts all of it again.

Mutations of the table show that each check is there; mutations of the code show that a fault in the arithmetic, which
the plan's own figures agree with, is seen from outside.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from gate_samples import only
from hypothesis import given
from hypothesis import strategies as st
from plan_strategies import inputs as any_inputs
from plan_strategies import planned, rules
from planning_builders import account, at, case, held, plan_settings, share

import core.market.limits
import core.model.planning
import core.planning.drafts
import core.planning.drift
import core.planning.funding
import core.planning.planner
import core.planning.sizing.buys
import core.planning.sizing.sells
import core.planning.valuation
from core import frames
from core.errors import RebalanceError
from core.market.limits import LimitCalculator
from core.model import (
    CAD,
    USD,
    USD_CAD,
    ConvertMode,
    EscalateAction,
    LimitStyle,
    ModelName,
    ModelWeight,
    OrderType,
    PriceSource,
    Side,
    Symbol,
    TradeDirection,
    TriggerMode,
    Untargeted,
)
from core.money import D
from core.planning import make_plan
from expectations.gate import run_gate
from expectations.plan import plan_suite
from expectations.plan_basis import basis_of
from expectations.rules import RULES

NAN = float("nan")
ROWS = [ModelWeight(ModelName("CORE"), Symbol(symbol), D(weight), line) for line, (symbol, weight) in enumerate(
    [("VTI", "0.5"), ("BND", "0.3"), ("GLD", "0.2")], start=2)]  # fmt: skip
CHANGES = {
    "min_order_usd": D(500), "cash_buffer_pct": D(1), "commission_per_order_usd": D(1), "fx__enabled": True,
    "per_holding_band_bps": D(50), "max_turnover_pct": D(150),
    # the comparison with the broker's NetLiq would stop some faults before the gate sees them
    "max_net_liq_gap_pct": D(1000),
}  # fmt: skip
SETTINGS = plan_settings(**CHANGES)


def inputs():
    """An account based in CAD: too much VTI, an untargeted ETF, a share left alone, and CAD to convert."""
    own = account(
        held("VTI", "700"), held("BND", "200"), held("ARKK", "30"), share("AAPL", "20"),
        cash={USD: "1000", CAD: "20000"}, base=CAD,
    )  # fmt: skip
    quotes = [at(symbol, "100", "0.04", last=D("100.01")) for symbol in ("VTI", "BND", "GLD", "ARKK")]
    return case({"VTI": "0.5", "BND": "0.3", "GLD": "0.2"}, own, *quotes, at(USD_CAD, "1.25", "0.0001"))


def gated(made, seen, settings=SETTINGS, rows=ROWS):
    basis = basis_of(made, seen, rows, settings)
    return basis.joined(frames.plan(made)), plan_suite(made, settings.rebalance, basis)


def faults(made, seen, settings=SETTINGS, rows=ROWS):
    return [fault.message for fault in run_gate("plan", *gated(made, seen, settings, rows)).faults]


def test_a_plan_that_follows_from_its_inputs_passes():
    made = make_plan(inputs(), SETTINGS)
    assert [(line.side, line.symbol) for line in made.lines] == [
        (Side.SELL, "ARKK"), (Side.SELL, "VTI"), (Side.BUY, "BND"), (Side.BUY, "GLD"),
    ]  # fmt: skip
    assert made.fx.quantity
    assert faults(made, inputs()) == []


WRONG = [
    ("VTI", "held", 701.0, "held is not what the account shows"),
    ("VTI", "target_pct", 50.01, "target is not the blend of the models"),
    ("VTI", "drift_bps", 2000.0, "drift is not value less target"),
    ("VTI", "drift_bps", 49.0, "trades inside its band"),
    ("BND", "quantity", 200.0, "trades beyond its target"),
    ("VTI", "quantity", 100.0, "sells less than to its target"),
    ("ARKK", "quantity", 29.0, "sells less than to its target"),
    ("VTI", "price", 100.02, "price that was not quoted"),
    ("BND", "limit_price", 100.05, "price beyond the market"),
    ("VTI", "limit_price", 99.95, "price beyond the market"),
    ("BND", "worst_price", 100.05, "price beyond the market"),
    ("BND", "limit_price", 99.98, "limit on the wrong side of the mid"),
    ("VTI", "limit_price", 100.02, "limit on the wrong side of the mid"),
    ("VTI", "dollars", 1e6, "turnover above max_turnover_pct"),
]


@pytest.mark.parametrize(("symbol", "column", "value", "message"), WRONG)
def test_one_cell_that_does_not_follow_stops_the_run(symbol, column, value, message):
    frame, suite = gated(make_plan(inputs(), SETTINGS), inputs())
    frame.loc[frame["symbol"] == symbol, column] = value
    found = run_gate("plan", frame, only(suite, message))
    assert [fault.message for fault in found.faults] == [message]
    assert found.blocks


@pytest.mark.parametrize("change", [
    {"quantity": D(100_000)}, {"quantity": D("7000.5")}, {"quantity": D(999)}, {"planning_rate": D("1.2503")},
    {"worst_rate": D("1.2501")}, {"worst_rate": D("0.8")},
], ids=str)  # fmt: skip
def test_a_conversion_that_does_not_follow_stops_the_run(change):
    made = make_plan(inputs(), SETTINGS)
    found = faults(replace(made, fx=replace(made.fx, **change)), inputs())
    assert {"conversion is not what the buys lack", "rate of the conversion that was not quoted"} & set(found)


def test_the_account_that_the_plan_shows_is_the_one_that_was_read():
    made = make_plan(inputs(), SETTINGS)
    wrong = replace(made.valuation, net_liq=made.valuation.net_liq + 1, cash={USD: D(1000), CAD: D(25000)})
    assert faults(replace(made, valuation=wrong), inputs()) == ["not as the account shows it: NetLiq, CAD cash"]


def test_an_account_that_never_had_usd_is_counted_at_the_mid_of_the_pair():
    own = account(cash={CAD: "125000"}, rates={CAD: "1"}, base=CAD)
    seen = case({"VTI": "0.5", "BND": "0.3", "GLD": "0.2"}, own, at(USD_CAD, "1.25", "0.0001", last=D("1.3")))
    made = make_plan(seen, SETTINGS)
    assert made.fx.quantity
    assert made.valuation.net_liq == D(100_000)
    assert faults(made, seen) == []
    wrong = replace(made, valuation=replace(made.valuation, net_liq=D(101_000)))
    assert faults(wrong, seen) == ["not as the account shows it: NetLiq"]


# --- mutations of the code --------------------------------------------------------------------------


def wraps(module, name, change):
    """A mutation: what `module.name` returns is passed through `change`."""

    def mutate(patch):
        real = getattr(module, name)
        patch.setattr(module, name, lambda *args, **kwargs: change(real(*args, **kwargs)))

    return mutate


def more(symbol, shares):
    """Drafts with so many shares more of one symbol."""
    return lambda drafts: tuple(
        draft._replace(quantity=draft.quantity + shares) if draft.drift.symbol == symbol else draft for draft in drafts
    )


def drifted(change):
    """Drift lines, each changed where it is that of VTI."""
    return lambda lines: tuple(change(line) if line.symbol == "VTI" else line for line in lines)


def priced(change):
    """What a limit calculator returns, changed."""
    return wraps(LimitCalculator, "limit", change)


def _unconverted(amount, _currency, _rates):
    return amount


def _twice_the_price(price):
    return None if price is None else price._replace(value=price.value * 2)


PLANNER, FUNDING_MODULE, VALUATION = core.planning.planner, core.planning.funding, core.planning.valuation
MUTATIONS = {
    "currencies are added unconverted": lambda patch: patch.setattr(VALUATION, "in_usd", _unconverted),
    "a rate is divided by instead of multiplied": lambda patch: patch.setattr(
        VALUATION, "in_usd", lambda amount, currency, rates: amount if currency == USD else amount * D("1.25")
    ),
    "the cash buffer is forgotten": wraps(
        PLANNER, "value_account", lambda made: replace(made, buffer=D(0), investable=made.investable + made.buffer)
    ),
    "the buffer is taken twice": wraps(
        PLANNER, "value_account", lambda made: replace(made, investable=made.investable - made.buffer)
    ),
    "outside holdings are invested": wraps(
        PLANNER, "value_account", lambda made: replace(made, investable=made.investable + made.outside[0].value)
    ),
    "CAD is counted twice": wraps(
        PLANNER, "value_account", lambda made: replace(made, cash={**made.cash, CAD: made.cash[CAD] * 2})
    ),
    "a position is missed": wraps(
        PLANNER, "value_account", lambda made: replace(made, held={**made.held, Symbol("BND"): D(0)})
    ),
    "a position is doubled": wraps(
        PLANNER, "value_account", lambda made: replace(made, held={**made.held, Symbol("VTI"): D(1400)})
    ),
    "excess liquidity is not converted": wraps(
        PLANNER, "value_account", lambda made: replace(made, excess_liquidity=made.excess_liquidity * D("1.25"))
    ),
    "prices are halved": wraps(
        PLANNER, "value_account",
        lambda made: replace(made, prices={s: p._replace(value=p.value / 2) for s, p in made.prices.items()}),
    ),
    "a price of another symbol is taken": wraps(
        PLANNER, "value_account",
        lambda made: replace(made, prices={s: p._replace(value=D("87.5")) for s, p in made.prices.items()}),
    ),
    "drift has the wrong sign": wraps(core.model.planning, "bps_from_target", lambda drift: -drift),
    "drift is in percent": wraps(core.model.planning, "bps_from_target", lambda drift: drift / 100),
    "wanted has the wrong sign": wraps(PLANNER, "measure", drifted(lambda line: line._replace(wanted=-line.wanted))),
    "wanted is twice too much": wraps(PLANNER, "measure", drifted(lambda line: line._replace(wanted=line.wanted * 2))),
    "wanted is a tenth": wraps(PLANNER, "measure", drifted(lambda line: line._replace(wanted=line.wanted / 10))),
    "a target is another": wraps(PLANNER, "measure", drifted(lambda line: line._replace(target=D("0.4")))),
    "one share more is sold": wraps(PLANNER, "size_sells", more("VTI", 1)),
    "one share less is sold": wraps(PLANNER, "size_sells", more("VTI", -1)),
    "an exit leaves one share": wraps(PLANNER, "size_sells", more("ARKK", -1)),
    "more is sold than held": wraps(PLANNER, "size_sells", more("ARKK", 1)),
    "one share more is bought": wraps(PLANNER, "size_buys", more("GLD", 1)),
    "half a share is bought": wraps(PLANNER, "size_buys", more("GLD", D("0.5"))),
    "buys are sized without regard to money": wraps(
        PLANNER, "budget_for", lambda budget: replace(budget, money=budget.money * 10)
    ),
    "a limit lies a tick beyond the touch": priced(lambda made: made._replace(limit_price=D("100.05"))),
    "a limit lies below the bid": priced(lambda made: made._replace(limit_price=D("99.90"))),
    "a limit lies between two ticks": priced(lambda made: made._replace(limit_price=made.limit_price + D("0.003"))),
    "the worst price is counted at the mid": priced(lambda made: made._replace(worst_price=D("99.99"))),
    "the worst price lies far beyond the market": priced(lambda made: made._replace(worst_price=D("101.50"))),
    "a conversion is sized in CAD": wraps(
        PLANNER, "convert", lambda leg: replace(leg, quantity=D(20000), funding_needed=D(25000))
    ),
    "a conversion has cents": wraps(PLANNER, "convert", lambda leg: replace(leg, quantity=leg.quantity + D("0.5"))),
    "the rate is upside down": wraps(
        PLANNER, "fx_market", lambda made: replace(made, planning=1 / made.planning, worst=1 / made.worst)
    ),
    "the worst rate is the mid": wraps(PLANNER, "fx_market", lambda made: replace(made, worst=made.mid)),
}  # fmt: skip
SAMPLED = 3  # one of three in `make test`


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if at % SAMPLED else ()) for at, name in enumerate(MUTATIONS)],
)
def test_a_fault_in_the_arithmetic_is_seen_from_outside(name, monkeypatch):
    with monkeypatch.context() as patch:
        MUTATIONS[name](patch)
        try:
            made = make_plan(inputs(), SETTINGS)
        except RebalanceError:
            pytest.fail("the fault stops the plan by itself, and shows nothing of the gate")
        # figures of a line are worked out where they are read
        table, suite = gated(made, inputs())
    assert run_gate("plan", table, suite).blocks


# --- no sound plan is refused -----------------------------------------------------------------------


@st.composite
def cases(draw):
    """Any account under any settings that change how a plan is made."""
    borrows = draw(st.booleans())
    changes = {
        "direction": draw(st.sampled_from(TradeDirection)),
        "trigger_mode": draw(st.sampled_from(TriggerMode)),
        "untargeted": draw(st.sampled_from(Untargeted)),
        "order_type": draw(st.sampled_from(OrderType)),
        "idle_cash_pct": draw(st.sampled_from([None, D(2)])),
        "style": draw(st.sampled_from(LimitStyle)),
        "use_ask_bid_cap": draw(st.booleans()),
        "escalate_action": draw(st.sampled_from(EscalateAction)),
        "convert_mode": draw(st.sampled_from(ConvertMode)),
        "price_source": draw(st.sampled_from([PriceSource.LAST, PriceSource.MIDPOINT, PriceSource.BIDASK])),
        "reprice_attempts": draw(st.sampled_from([0, 2])),
    }
    ruled = draw(rules(allow_margin=borrows, max_leverage=D("1.5"), **changes))
    return draw(any_inputs(gross="1.4" if borrows else "1")), ruled


@given(cases())
def test_no_plan_that_planning_makes_is_refused(drawn):
    wanted, ruled = drawn
    made = planned(wanted, ruled)
    basis = basis_of(made, wanted, (), ruled)
    frame, suite = basis.joined(frames.plan(made)), plan_suite(made, ruled.rebalance, basis)
    for check in suite.expectations:
        rule = getattr(check, "rule", None)
        if rule and check.severity == "critical":
            rows = frame[frame["order_type"] == "LMT"] if check.row_condition else frame
            assert RULES[rule](rows, check.limits).all(), (rule, basis.unlike)
