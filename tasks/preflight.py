"""Pre-flight: what the broker would say to every line, before the first order that cannot be taken back."""

from __future__ import annotations

from dataclasses import replace

from core.execution import ask_what_if, check_combined_margin, refuse_permanent, refuse_unfunded
from core.execution.preflight import LOOK_AT_MONEY, MarginAfter, WhatIfAnswers
from core.model import CAD, USD_CAD, Order, Plan, Stage
from core.money import ZERO
from core.planning import PlanInputs
from core.planning.funding import affordable
from core.planning.inputs import fx_market_of
from core.text import counted
from tasks.app.run import Run
from tasks.app.step import reading_step
from tasks.fx import conversion
from tasks.stage import order_of


@reading_step("Ask the broker beforehand")
async def ask_broker_beforehand(run: Run, plan: Plan, now: PlanInputs) -> Plan:
    """The plan without the lines that the broker does not answer about.

    Raises what it refuses for good of any line, and what it refuses for want of money that is there already: of
    currency and sells, and of the buys when these wait for no sell and no conversion. Nothing was sent then.
    """
    orders = _orders(run, plan, now)
    answers = await ask_what_if(run.reader, orders)
    refuse_permanent(answers)
    waits = waits_for_money(plan)
    refuse_unfunded(answers, [order for order in orders if order.stage is not Stage.BUY or not waits])
    for error in answers.unfunded.values():
        run.log_step("what_if", f"asked again right before the buys: {error.message}")
    if not waits:
        _log_margin(run, check_combined_margin(answers, LOOK_AT_MONEY))
    run.log_step("what_if", f"the broker would take {len(answers.effects)} of {counted(len(orders), 'order')}")
    return _without(run, plan, answers)


@reading_step("Ask about the buys together")
async def ask_about_buys(run: Run, plan: Plan) -> Plan:
    """The plan without the buys that the broker does not answer about, now that the money for them is there.

    Raises FundsInsufficient when the account does not bear them together; what is refused for another reason is left
    to the order itself, which tells of it.
    """
    answers = await ask_what_if(run.reader, [order_of(run, plan, Stage.BUY, line) for line in plan.buys])
    for error in answers.permanent.values():
        run.warn(error.message)
    _log_margin(run, check_combined_margin(answers))
    return _without(run, plan, answers)


def waits_for_money(plan: Plan) -> bool:
    """Whether sells or a conversion come before the buys of an approved plan, be they left out of the run or not."""
    return bool(plan.sells or (plan.fx and plan.fx.quantity))


def _orders(run: Run, plan: Plan, now: PlanInputs) -> list[Order]:
    """The first order of every line, as it would be sent at the prices of the plan."""
    sells = [order_of(run, plan, Stage.SELL, line) for line in plan.sells]
    return [*_conversion(run, plan, now), *sells, *(order_of(run, plan, Stage.BUY, line) for line in plan.buys)]


def _conversion(run: Run, plan: Plan, now: PlanInputs) -> tuple[Order, ...]:
    """The conversion, for no more than the CAD cash pays for; none where nothing would be sent."""
    if plan.fx is None or now.fx_closed:
        return ()
    market = fx_market_of(now, run.rules)
    quantity = affordable(plan.fx.quantity, now.snapshot.cash.get(CAD, ZERO), market)
    return (conversion(run, plan, quantity, market),) if quantity else ()


def _without(run: Run, plan: Plan, answers: WhatIfAnswers) -> Plan:
    """The plan without what the broker did not answer about; each line of that is a failure that names it."""
    for order, error in answers.unanswered.items():
        symbol = order.contract.symbol
        run.unsent[symbol] = error.message
        run.warn(f"{symbol} is left out of this run: {error.message}")
        run.fail(error)
    left_out = {order.contract.symbol for order in answers.unanswered}
    fx = plan.fx
    if fx and USD_CAD in left_out:
        fx = replace(fx, quantity=ZERO, reason=run.unsent[USD_CAD])
    return replace(plan, lines=tuple(line for line in plan.lines if line.symbol not in left_out), fx=fx)


def _log_margin(run: Run, left: MarginAfter | None) -> None:
    if left is not None:
        funds = f"{left.available_funds:,.2f} {left.currency}"
        run.log_step("margin", f"{counted(left.buys, 'buy')} would leave {funds} of available funds")
