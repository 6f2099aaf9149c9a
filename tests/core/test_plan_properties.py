"""What holds for every plan, whatever the account."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import assume, example, given
from hypothesis import strategies as st
from plan_strategies import inputs, planned, rules
from planning_builders import account, case, held, plan_settings

from core.model import CAD, USD, Side
from core.money import HUNDRED, ZERO, D, Money
from core.planning import make_plan

TINY = D("1e-15")


@dataclass(frozen=True, slots=True)
class Worst:
    """The account when every order filled at its worst price, its holdings still valued at the plan's prices.

    Excess liquidity is counted as the limit counts it: less a margin for buys − sells, at worst prices.
    """

    usd: object
    usd_in_cad: object
    net_liq: object
    gross: object
    excess: object


def worst_of(plan, ruled):
    """Worked out from the lines alone."""
    rebalance = ruled.rebalance
    value = plan.valuation
    bought, sold, lost, spent = ZERO, ZERO, ZERO, ZERO
    cash = value.cash[USD]
    for line in (*plan.buys, *plan.sells):
        sign = 1 if line.side is Side.BUY else -1
        spent += sign * line.quantity * line.limit.worst_price
        cash -= sign * line.quantity * line.limit.worst_price + rebalance.commission_per_order_usd
        lost += sign * line.quantity * (line.limit.worst_price - line.price.value) + rebalance.commission_per_order_usd
        bought += line.dollars if sign > 0 else ZERO
        sold += line.dollars if sign < 0 else ZERO
    cad_left = value.cash[CAD]
    if plan.fx and plan.fx.quantity:
        dollars = min(plan.fx.quantity, value.cash[CAD] // plan.fx.worst_rate)
        cash += dollars - rebalance.commission_per_order_usd
        lost += dollars * plan.fx.worst_rate * value.usd_per_funding - dollars + rebalance.commission_per_order_usd
        cad_left -= dollars * plan.fx.worst_rate
    rate = 1 / plan.fx.worst_rate if plan.fx and plan.fx.worst_rate else value.usd_per_funding
    margin = rebalance.maintenance_margin_pct / HUNDRED
    return Worst(
        usd=cash,
        usd_in_cad=cad_left * rate,
        net_liq=value.net_liq - lost,
        gross=value.gross_position_value - sold + bought,
        excess=value.excess_liquidity - margin * spent,
    )


@given(inputs(), rules(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_changes_not_a_byte(wanted, ruled, rng: random.Random):
    def shuffled(mapping):
        return dict(rng.sample(list(mapping.items()), len(mapping)))

    own = wanted.snapshot
    again = replace(
        wanted,
        snapshot=replace(own, positions=tuple(rng.sample(own.positions, len(own.positions))), cash=shuffled(own.cash)),
        targets=replace(wanted.targets, weights=shuffled(wanted.targets.weights)),
        contracts=shuffled(wanted.contracts),
        quotes=shuffled(wanted.quotes),
    )
    first, second = planned(wanted, ruled), planned(again, ruled)
    ordered = replace(second, targets=first.targets)
    assert repr(ordered) == repr(first)
    assert first.hash == second.hash


@given(inputs(), rules())
def test_at_worst_prices_the_cash_pays_for_every_buy_and_the_buffer_stays(wanted, ruled):
    plan = planned(wanted, ruled)
    assume(plan.buys)
    worst = worst_of(plan, ruled)
    assert worst.usd >= max(ZERO, plan.valuation.buffer - worst.usd_in_cad) - TINY
    assert plan.totals.cash_after[USD] == worst.usd


@given(inputs(gross="1.4"), rules(allow_margin=True, max_leverage=D("1.5"), maintenance_margin_pct=D(30)))
def test_at_worst_prices_the_limits_of_borrowing_hold_after_every_buy(wanted, ruled):
    plan = planned(wanted, ruled)
    assume(plan.buys)
    worst = worst_of(plan, ruled)
    assert -worst.usd <= -plan.targets.cash * plan.valuation.investable + TINY
    assert worst.gross <= ruled.rebalance.max_leverage * worst.net_liq
    assert worst.excess >= ruled.rebalance.maintenance_buffer_pct * plan.valuation.net_liq / HUNDRED


@given(inputs(gross="1.4"), st.integers(0, 40_000), st.sampled_from(["0", "10", "60", "100"]))
def test_at_worst_prices_a_scarce_margin_is_kept(wanted, excess, margin_pct):
    sizing = {"allow_margin": True, "maintenance_margin_pct": D(margin_pct), "commission_per_order_usd": D(1)}
    ruled = plan_settings(**sizing)
    own = replace(wanted.snapshot, excess_liquidity=Money(D(excess), USD))
    plan = planned(replace(wanted, snapshot=own), ruled)
    assume(plan.buys)
    assert worst_of(plan, ruled).excess >= plan.valuation.net_liq / 10


@given(inputs(), rules())
def test_no_more_is_sold_than_held_and_no_more_bought_than_the_nearest_share(wanted, ruled):
    plan = planned(wanted, ruled)
    for line in plan.sells:
        assert 0 < line.quantity <= line.held
    for line in plan.buys:
        assert line.quantity > 0
        assert (line.quantity - D("0.5")) * line.price.value < line.wanted


@given(inputs(), rules())
def test_no_line_is_below_the_minimum_or_above_the_maximum(wanted, ruled):
    plan = planned(wanted, ruled)
    for line in (*plan.sells, *plan.buys):
        is_exit = line.side is Side.SELL and line.quantity == line.held and not line.target
        assert is_exit or line.dollars >= ruled.rebalance.min_order_usd
        assert ruled.rebalance.max_order_usd is None or line.dollars <= ruled.rebalance.max_order_usd


@given(inputs(), rules())
def test_every_symbol_has_one_line_and_every_line_its_reason(wanted, ruled):
    plan = planned(wanted, ruled)
    assert sorted(line.symbol for line in plan.lines) == list(plan.valuation.held)
    assert all(line.reason for line in plan.lines)
    assert all((line.side is None) == (line.quantity == 0) == (line.limit is None) for line in plan.lines)
    assert [line.number for line in plan.sells] == list(range(1, len(plan.sells) + 1))
    assert [line.number for line in plan.buys] == list(range(1, len(plan.buys) + 1))


@given(inputs(), rules())
def test_a_plan_never_makes_a_line_worse_than_half_a_share(wanted, ruled):
    plan = planned(wanted, ruled)
    for line in plan.lines:
        half = line.price.value * 5000 / plan.valuation.investable
        rounded_up = 2 * half if plan.valuation.cash[USD] < 0 else half
        assert abs(line.projected_drift_bps) <= max(abs(line.drift_bps), rounded_up + TINY)


@given(inputs(gross="0.9"))
@example(case({"A": "0.05"}, account(held("A", "10"), cash={USD: "20100"})))
def test_planning_again_after_filling_at_the_price_is_empty(wanted):
    ruled = plan_settings(per_holding_band_bps=ZERO)
    plan = planned(wanted, ruled)
    left = plan.valuation.cash[USD] + plan.totals.sells - plan.totals.buys
    # a debit rounds sells up as long as it is there, and scarce money leaves something to buy
    assume(min(plan.valuation.cash[USD], left) >= 0 and all(line.limited_by is None for line in plan.buys))
    moved = {line.symbol: line.quantity if line.side is Side.BUY else -line.quantity for line in plan.lines}
    known = {position.contract.symbol: position for position in wanted.snapshot.positions}
    own = [
        replace(known.get(symbol, held(symbol, "0")), quantity=plan.valuation.held[symbol] + moved[symbol])
        for symbol in moved
    ]
    outside = [position for position in wanted.snapshot.positions if position.contract.symbol not in moved]
    cash = wanted.snapshot.cash | {USD: left}
    again = make_plan(replace(wanted, snapshot=replace(wanted.snapshot, positions=(*own, *outside), cash=cash)), ruled)
    assert not again.trades
