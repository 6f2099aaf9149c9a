"""Pre-flight: would the broker accept every order of the plan? It is asked before the first one is sent."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from core.execution import (
    ask_what_if,
    check_combined_margin,
    conversion_order,
    refuse_permanent,
    refuse_unfunded,
    stage_orders,
)
from core.execution.preflight import LOOK_AT_MONEY, MarginAfter, WhatIfAnswers
from core.model import FUNDING, Order, Plan, Stage
from core.money import ZERO
from core.planning import PlanInputs
from core.planning.funding import fx_market
from core.text import counted
from tasks.app.run import Run
from tasks.app.step import reading_step


@reading_step("Preflight: ask the broker about every order")
async def preflight_orders(run: Run, plan: Plan, now: PlanInputs) -> Plan:
    """The plan without the lines that the broker gave no answer for.

    Raises a refusal that no proceeds cure, of any line, and one for insufficient funds of what is paid with money that
    is there: currency, sells, and the buys when these wait for no sell and no conversion. Nothing was sent then.
    """
    orders = _first_orders(run, plan, now)
    answers = await ask_what_if(run.reader, orders)
    refuse_permanent(answers)
    # with sells or a conversion ahead, a buy's shortage may be of money that is still to come
    waits = waits_for_money(plan)
    refuse_unfunded(answers, [order for order in orders if order.stage is not Stage.BUY or not waits])
    for error in answers.unfunded.values():
        run.log_step("what_if", f"asked again right before the buys: {error.message}")
    if not waits:
        _log_margin(run, check_combined_margin(answers, LOOK_AT_MONEY))
    run.log_step("what_if", f"the broker would accept {len(answers.effects)} of {counted(len(orders), 'order')}")
    return _without(run, plan, answers)


@reading_step("Preflight: ask the broker about the buys")
async def preflight_buys(run: Run, plan: Plan) -> Plan:
    """The plan without the buys that the broker gave no answer for, now that the money for them is there.

    Raises FundsInsufficient when the account has not the margin for all together; a refusal for another reason is a
    warning, and is reported again when the order is sent.
    """
    answers = await ask_what_if(run.reader, stage_orders(plan, Stage.BUY, run.settings))
    for error in answers.permanent.values():
        run.warn(error.message)
    _log_margin(run, check_combined_margin(answers))
    return _without(run, plan, answers)


def waits_for_money(plan: Plan) -> bool:
    """Whether sells or a conversion come before the buys of an approved plan, be they left out of the run or not."""
    return bool(plan.sells or (plan.fx and plan.fx.quantity))


def _first_orders(run: Run, plan: Plan, now: PlanInputs) -> list[Order]:
    """The first order of every line at the prices of the plan; no conversion while its market is closed."""
    conversion = None
    if not now.fx_closed:
        funding_cash = now.snapshot.cash.get(FUNDING.currency, ZERO)
        market = fx_market(now.judge(run.settings), run.settings, sends_orders=run.mode.sends_orders)
        conversion = conversion_order(plan, funding_cash, market, run.settings)
    shares = (stage_orders(plan, stage, run.settings) for stage in (Stage.SELL, Stage.BUY))
    return [*([conversion] if conversion else []), *chain.from_iterable(shares)]


def _without(run: Run, plan: Plan, answers: WhatIfAnswers) -> Plan:
    """The plan without the lines that the broker gave no answer for; each of them is a failure."""
    for order, error in answers.unanswered.items():
        symbol = order.contract.symbol
        run.unsent[symbol] = error.message
        run.warn(f"{symbol} is left out of this run: {error.message}")
        run.fail(error)
    left_out = {order.contract.symbol for order in answers.unanswered}
    fx = plan.fx
    if fx and FUNDING.symbol in left_out:
        fx = replace(fx, quantity=ZERO, reason=run.unsent[FUNDING.symbol])
    return replace(plan, lines=tuple(line for line in plan.lines if line.symbol not in left_out), fx=fx)


def _log_margin(run: Run, left: MarginAfter | None) -> None:
    if left is not None:
        funds = f"{left.available_funds:,.2f} {left.currency}"
        run.log_step("margin", f"{counted(left.buys, 'buy')} would leave {funds} of available funds")
