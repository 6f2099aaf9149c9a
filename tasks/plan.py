"""Plan the trades, and check what forbids them."""

from __future__ import annotations

from datetime import timedelta

from core.errors import MarketClosed
from core.execution import check_foreign_orders, longest_trading
from core.market.hours import in_blackout, session_end
from core.model import NEW_YORK, AccountSnapshot, ForeignOrders, Plan
from core.planning import PlanInputs
from core.text import age_text, counted
from tasks.app.planner import plan_from
from tasks.app.run import Run
from tasks.app.step import step


def is_cooling_down(run: Run) -> bool:
    """Whether the account traded so recently that this run does nothing, and says so; never where none are sent."""
    cooldown = timedelta(hours=float(run.settings.rebalance.cooldown_hours))
    last = run.journal.last_traded(run.settings.ibkr.account_id) if cooldown and run.mode.sends_orders else None
    if last is None:
        return False
    left = cooldown - (run.broker.now() - max(each.sent_at for each in last.orders.values() if each.sent_at))
    if left <= timedelta(0):
        return False
    run.no_plan_reason = (
        f"run {last.record.run_id} has traded this account within [rebalance] cooldown_hours = "
        f"{run.settings.rebalance.cooldown_hours:f}; {age_text(left)} of it are left"
    )
    run.log_step("cooldown", run.no_plan_reason)
    return True


@step("Plan the trades")
async def plan_trades(run: Run, observed: PlanInputs) -> Plan:
    """The plan for what was observed.

    Raises what planning raises; in modes that trade also AccountBusy for working orders not placed by this tool, and
    MarketClosed. In the other modes these two are warnings.
    """
    plan = plan_from(observed, run.settings)
    run.plan, run.before = plan, observed.snapshot
    for warning in plan.warnings:
        run.warn(warning)
    for note in plan.notes:
        run.log_step("note", note)
    check_working_orders(run, plan, observed.snapshot)
    check_hours(run, plan)
    trades = f"{counted(len(plan.sells), 'sell')}, {counted(len(plan.buys), 'buy')}"
    run.log_step("plan", f"{trades}, turnover {plan.totals.turnover_pct:.2f} %")
    return plan


def check_working_orders(run: Run, plan: Plan, snapshot: AccountSnapshot) -> None:
    """Refuse, or warn of, working orders in a symbol of the plan that this tool did not place."""
    # a mode that sends nothing cannot collide with another tool's orders
    setting = run.settings.execution.foreign_orders if run.mode.sends_orders else ForeignOrders.IGNORE
    # the conversion is no line of the plan
    symbols = {*plan.traded, *(line.symbol for line in plan.lines)}
    for warning in check_foreign_orders(snapshot, symbols, setting):
        run.warn(warning)


def check_hours(run: Run, plan: Plan) -> None:
    """Refuse, or warn, when a market of the plan is closed; warn of the blackout where no stage will start anyway."""
    run.check_markets(plan.contracts[line.symbol] for line in (*plan.sells, *plan.buys))
    check_close(run, plan)
    if not run.mode.sends_orders:
        check_blackout(run)


def check_close(run: Run, plan: Plan) -> None:
    """Refuse, or warn, when the regular session of a traded symbol may end before the stages do.

    Sells that fill and buys that expire at the close would leave the money in cash overnight.
    """
    if not run.settings.rebalance.prefer_rth:
        return
    now, longest = run.broker.now(), longest_trading(plan, run.settings)
    margin = timedelta(minutes=float(run.settings.execution.close_margin_minutes))
    ends = {line.symbol: session_end(plan.contracts[line.symbol], now) for line in (*plan.sells, *plan.buys)}
    early = {symbol: end for symbol, end in ends.items() if end is not None and end - now < longest + margin}
    if early:
        end = min(early.values())
        run.refuse_or_warn(
            MarketClosed(
                f"the session ends at {end.astimezone(NEW_YORK):%H:%M} New York, in {age_text(end - now)}, for "
                f"{', '.join(early)}; the stages may take {age_text(longest)}, "
                f"and [execution] close_margin_minutes keeps {age_text(margin)} free",
                next_step="run again in a longer session, or lower [execution] order_timeout_seconds, "
                "reprice_attempts or close_margin_minutes",
            )
        )


def check_blackout(run: Run) -> None:
    """Refuse, or warn, in the times of day in which no stage may start."""
    if in_blackout(run.settings.execution.blackout, run.broker.now()):
        run.refuse_or_warn(
            MarketClosed(
                f"no stage starts during the blackout {', '.join(run.settings.execution.blackout)} (New York)",
                next_step="run again later, or change [execution] blackout",
            )
        )
