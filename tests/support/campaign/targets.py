"""Whether a run without troubles came as close to its targets as it may, and no closer than its money allows."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from campaign.checks import Check, approved_plan, ours
from campaign.excuses import HALF, Excuses, cost_of, plan_again, value_again
from campaign.playing import Played
from core.errors import ExitCode, FundsInsufficient
from core.model import CAD, USD, LimitedBy, Plan, SecurityType, Side, Symbol, Untargeted
from core.money import CENT, HUNDRED, ONE, ZERO, D, floor_to


def it_ends_well_or_is_refused_for_a_reason_that_the_case_has(played: Played) -> None:
    reasons = {
        ExitCode.DONE: lambda _: True,
        ExitCode.DATA: has_nothing_to_invest,
        ExitCode.SAFETY: turns_over_too_much,
        ExitCode.FUNDS: borrows_too_much,
    }
    outcome = played.outcome
    assert outcome.exit_code in reasons, outcome.reason
    assert reasons[outcome.exit_code](played), f"refused without reason: {outcome.reason}"
    if outcome.exit_code:
        assert not played.sent, "refused, but orders were sent"


def what_was_approved_is_what_was_done(played: Played) -> None:
    """Sells and conversion in full; a buy too, but for the share that the costs of the sells take off its target."""
    plan = approved_plan(played)
    if plan is None:
        return
    filled = filled_by_symbol(played)
    for line in plan.sells:
        assert filled[Side.SELL, line.symbol] == line.quantity, f"{line.symbol} was not sold as approved"
    cost = cost_of(played, plan)
    for line in plan.buys:
        least = line.quantity - ONE - line.target * cost / line.price.value
        is_small = least * line.price.value < played.settings.rebalance.min_order_usd
        bought = filled[Side.BUY, line.symbol]
        # what margin the sells have freed the broker knows, and the plan assumed
        is_assumed = line.limited_by is LimitedBy.LEVERAGE
        assert bought >= least or is_small or is_assumed, f"{line.symbol}: {bought} bought of {line.quantity}"


def no_line_goes_past_its_target(played: Played) -> None:
    """By more than half a share; a debt may round a sell up to the next whole one."""
    plan = played.outcome.plan
    for line in plan.lines if plan else ():
        if line.side:
            assert (line.wanted > 0) == (line.side is Side.BUY), f"{line.symbol} trades away from its target"
            has_debt = plan is not None and plan.valuation.cash[USD] < 0
            most = line.price.value * (ONE if line.side is Side.SELL and has_debt else HALF)
            over = line.dollars - abs(line.wanted)
            assert over <= most, f"{line.symbol} goes {over:.2f} USD past its target"


def whoever_buys_keeps_the_cash_buffer_or_the_debt_that_the_targets_allow(played: Played) -> None:
    """The USD left cover that part of the buffer which the CAD do not; targets that borrow owe no more than they allow.

    However little the sells brought: buys are sized by what is there. What other hands move is theirs.
    """
    plan, cash = approved_plan(played), played.venue.ledger.cash
    if plan is None or not has_bought(played) or played.venue.world.changes:
        return
    value, cost = plan.valuation, cost_of(played, plan)
    if plan.targets.cash:
        may_owe = -plan.targets.cash * (value.investable + cost)
        assert cash[USD] + may_owe >= -CENT, f"{-cash[USD]:.2f} USD are owed, {may_owe:.2f} may be"
        return
    buffer = (value.net_liq - cost) * played.settings.rebalance.cash_buffer_pct / HUNDRED
    in_cad = (
        cash[CAD] / plan.fx.worst_rate if plan.fx and plan.fx.worst_rate else cash[CAD] * (value.usd_per_funding or 0)
    )
    kept = cash[USD] - max(ZERO, buffer - in_cad)
    assert kept >= -CENT, f"{-kept:.2f} USD of the buffer of {buffer:.2f} are spent"


def the_limits_of_borrowing_hold_after_buys(played: Played) -> None:
    settings, plan = played.settings.rebalance, approved_plan(played)
    if plan is None or not settings.allow_margin or not has_bought(played):
        return
    after = value_again(played)
    gross, allowed = after.gross_position_value, settings.max_leverage * after.net_liq
    assert gross <= allowed + CENT, f"gross {gross:.2f} above {allowed:.2f}"
    kept = settings.maintenance_buffer_pct * after.net_liq / HUNDRED
    # the broker knows its marks and its margin, we assume them
    slack = cost_of(played, plan) + after.net_liq / HUNDRED
    assert after.excess_liquidity >= kept - slack, f"excess {after.excess_liquidity:.2f} below {kept:.2f}"


def where_money_is_short_no_further_share_was_affordable(played: Played) -> None:
    """Without margin, in whole shares: the money for buys, computed once more by the rule of the specification."""
    plan, settings = played.outcome.plan, played.settings.rebalance
    if plan is None or settings.allow_margin:
        return
    commission = settings.commission_per_order_usd
    paid = sum((line.quantity * line.limit.worst_price + commission for line in plan.buys if line.limit), ZERO)
    left = money_for_buys(plan, commission) - paid
    assert left >= 0 or not plan.buys, f"the plan is {-left:.2f} USD short"
    for line in plan.buys:
        if line.limited_by is LimitedBy.MONEY and line.limit and line.quantity == floor_to(line.quantity, ONE):
            assert line.limit.worst_price > left, f"{left:.2f} USD left, enough for one more {line.symbol}"


def where_money_is_short_all_cad_are_converted_that_may_be(played: Played) -> None:
    """Up to what the buys lacked, the largest conversion allowed, and what a worse rate than planned keeps back."""
    plan, settings = played.outcome.plan, played.settings
    if plan is None or plan.fx is None or not any(line.limited_by is LimitedBy.MONEY for line in plan.buys):
        return
    fx, cad = plan.fx, plan.valuation.cash[CAD]
    assert fx.planning_rate
    usable = floor_to(max(ZERO, cad) / fx.planning_rate, ONE)
    most = settings.fx.max_fx_order_usd
    could = usable if most is None else min(usable, floor_to(most, ONE))
    is_enough = fx.quantity >= min(could, fx.shortfall) or could < settings.fx.min_fx_order_usd
    is_small = fx.shortfall < settings.fx.min_fx_order_usd
    assert is_enough or is_small, f"{fx.quantity} USD converted, {could} could be: {fx.reason}"


def a_second_plan_has_an_excuse_for_all_that_it_trades(played: Played) -> None:
    first = played.outcome.plan
    if played.outcome.exit_code or first is None:
        return
    try:
        again = plan_again(played)
    except FundsInsufficient:
        return  # by how much is for `the_limits_of_borrowing_hold_after_buys`
    excuses = Excuses(played, first, cost_of(played, first))
    for line in again.lines:
        if line.side and line.dollars > played.settings.rebalance.min_order_usd:
            text = f"{line.side} {line.quantity} {line.symbol} again for {line.dollars:.2f} USD: {line.reason}"
            assert excuses.of(line), f"{text}; at first: {excuses.first[line.symbol].reason}"
    if again.fx and again.fx.quantity and not again.buys:
        assert excuses.of_conversion(again.fx), f"converts {again.fx.quantity} USD again: {again.fx.reason}"


WITH_TROUBLES: tuple[Check, ...] = (
    no_line_goes_past_its_target,
    whoever_buys_keeps_the_cash_buffer_or_the_debt_that_the_targets_allow,
    where_money_is_short_no_further_share_was_affordable,
)
WITHOUT_TROUBLES: tuple[Check, ...] = (
    *WITH_TROUBLES,
    it_ends_well_or_is_refused_for_a_reason_that_the_case_has,
    what_was_approved_is_what_was_done,
    the_limits_of_borrowing_hold_after_buys,
    where_money_is_short_all_cad_are_converted_that_may_be,
    a_second_plan_has_an_excuse_for_all_that_it_trades,
)


def has_nothing_to_invest(played: Played) -> bool:
    """Outside holdings, at the broker's figures, leave nothing of NetLiq after its buffer."""
    venue, settings = played.venue, played.settings.rebalance
    rates, quotes = venue.ledger.rates(venue.quotes), venue.quotes
    outside = ZERO
    for held in venue.ledger.positions.values():
        is_held_back = settings.untargeted is Untargeted.HOLD and held.symbol not in (
            played.case.scenario.targets or {}
        )
        if held.security_type is not SecurityType.ETF or held.currency != USD or is_held_back:
            outside += held.quantity * venue.ledger.market_price(held, quotes) * rates[held.currency]
    net_liq = venue.ledger.figures(quotes).net_liq
    return net_liq * (HUNDRED - settings.cash_buffer_pct) / HUNDRED <= outside + abs(net_liq) / HUNDRED


def turns_over_too_much(played: Played) -> bool:
    plan, most = plan_again(played), played.settings.rebalance.max_turnover_pct
    turnover = sum((line.dollars for line in plan.lines if line.side), ZERO)
    return most is not None and turnover * HUNDRED > most * plan.valuation.net_liq


def borrows_too_much(played: Played) -> bool:
    """Before anything is done, by the exchange's own figures; our prices may differ by a little."""
    settings, ledger, quotes = played.settings.rebalance, played.venue.ledger, played.venue.quotes
    figures = ledger.figures(quotes)
    gross = figures.maintenance_margin / played.venue.world.margin_rate
    is_above = gross > settings.max_leverage * figures.net_liq * D("0.99")
    is_below = figures.excess_liquidity < settings.maintenance_buffer_pct * figures.net_liq / HUNDRED * D("1.01")
    return settings.allow_margin and (is_above or is_below)


def money_for_buys(plan: Plan, commission: Decimal) -> Decimal:
    """USD cash + sells at worst + USD converted − commissions − what of the buffer the remaining CAD does not cover."""
    value, fx = plan.valuation, plan.fx
    sells = sum((line.quantity * line.limit.worst_price - commission for line in plan.sells if line.limit), ZERO)
    converted, charged = ZERO, ZERO
    in_cad = value.cash[CAD] * (value.usd_per_funding or ZERO)
    if fx and fx.worst_rate:
        converted = min(fx.quantity, max(ZERO, floor_to(value.cash[CAD] / fx.worst_rate, ONE)))
        charged = commission if fx.quantity else ZERO
        in_cad = value.cash[CAD] / fx.worst_rate - converted
    return value.cash[USD] + sells + converted - charged - max(ZERO, value.buffer - in_cad)


def filled_by_symbol(played: Played) -> defaultdict[tuple[Side, Symbol], Decimal]:
    filled: defaultdict[tuple[Side, Symbol], Decimal] = defaultdict(lambda: ZERO)
    for placed in ours(played):
        filled[placed.terms.side, placed.terms.contract.symbol] += placed.filled
    return filled


def has_bought(played: Played) -> bool:
    shares = {
        Side.BUY
        for (side, symbol), filled in filled_by_symbol(played).items()
        if filled and side is Side.BUY and "USD." not in symbol
    }
    return bool(shares)
