"""Read the account: before planning, with orders of an earlier run cancelled, and after trading, to explain it."""

from __future__ import annotations

from core.execution import cancel_orphaned_orders, cancel_still_working, unexplained_changes
from core.market.quotes import judge_all
from core.masking import mask_account
from core.model import AccountSnapshot, Fill
from core.money import ZERO
from core.planning.drift import measure
from core.planning.valuation import value_account
from core.safety import check_clock, check_gateway
from core.text import counted
from tasks.app.clients import hold_client
from tasks.app.run import Run
from tasks.app.step import reading_step, step
from tasks.quotes import take_quotes


@reading_step("Check the gateway")
async def check_account(run: Run) -> None:
    """Connect; refuse an account, a port or a clock that this mode does not allow.

    Raises SafetyRefused, ConnectionLost, and what `hold_client` does while another run is connected by our client id.
    """
    await hold_client(run)
    await run.reader.connect()
    managed = await run.reader.accounts()
    warning = check_clock(run.mode, run.broker.clock_gap)
    if warning:
        run.warn(warning)
        run.follow_clock(run.broker.clock_gap)
    check_gateway(run.settings, run.mode, port=run.broker.port, managed=managed)


async def take_snapshot(run: Run) -> AccountSnapshot:
    """The account, complete, with orders that an earlier run of ours left working cancelled first in modes that trade.

    The first one is what the report shows of a run that ends without a plan.

    Raises BrokerError; OrderStateUnknown when a cancel is not confirmed.
    """
    snapshot = await read_account(run)
    for warning in snapshot.warnings:
        run.warn(warning)
    if not run.mode.sends_orders:
        for order in snapshot.working_orders:
            run.warn(
                f"working order left alone: {order.side} {order.quantity:,f} {order.symbol} {order.order_ref}".strip()
            )
    elif snapshot.working_orders and await cancel_earlier_orders(run, snapshot):
        snapshot = await read_account(run)
    run.before, run.seen = run.before or snapshot, snapshot
    run.log_step(
        "account",
        f"{mask_account(snapshot.account_id)}: NetLiq {snapshot.net_liq.amount:,.2f} {snapshot.base_currency}, "
        f"{counted(len(snapshot.positions), 'position')}",
    )
    return snapshot


@reading_step("Snapshot the account")
async def read_account(run: Run) -> AccountSnapshot:
    """The account, complete at one moment. Raises BrokerError."""
    return await run.reader.take_snapshot()


@step("Cancel orders of an earlier run")
async def cancel_earlier_orders(run: Run, snapshot: AccountSnapshot) -> bool:
    """Cancel the orders that an earlier run left working; whether there were any.

    Raises OrderStateUnknown and BrokerError.
    """
    cancelled = await cancel_orphaned_orders(
        run.executor.tracker, snapshot, seconds=run.settings.execution.shutdown_seconds
    )
    if cancelled:
        run.cancelled.extend(cancelled)
        run.log_step("orphaned", f"cancelled {counted(len(cancelled), 'working order')} of an earlier run")
    return bool(cancelled)


@step("Check the account after trading")
async def review_account(run: Run) -> None:
    """Read the account again: residual drift, cash, and whatever our fills do not explain, as red warnings.

    Orders of this run that still work are cancelled, and the run fails for them.
    """
    after = await run.reader.take_snapshot()
    refs = {record.order.ref for record in run.journal.orders(run.id)}
    survived = await cancel_still_working(
        run.executor.tracker, after, refs, seconds=run.settings.execution.shutdown_seconds
    )
    if survived:
        run.fail(survived)
        after = await run.reader.take_snapshot()
    for failure in await run.executor.drain():
        run.fail(failure)
    run.after = after
    plan, before = run.plan, run.before
    if plan is None or before is None:
        return
    # executions first: a fill that was missed while disconnected is the most common cause of a difference
    if unexplained_changes(before, after, _fills(run)):
        for failure in await run.executor.fetch_missed_fills():
            run.fail(failure)
    for change in unexplained_changes(before, after, _fills(run)):
        run.warn(change)
    quotes = await take_quotes(run, plan.contracts)
    verdicts = judge_all(quotes, run.settings, run.broker.now())
    valuation = value_account(after, plan.targets, plan.contracts, verdicts, run.settings)
    run.valuation_after = valuation
    # a symbol that was sold completely and has no target is in no valuation: nothing is held of it, and nothing wanted
    run.residual_drift_bps = {line.symbol: ZERO for line in plan.lines} | {
        line.symbol: line.drift_bps for line in measure(plan.targets, valuation, run.settings.rebalance)
    }


def _fills(run: Run) -> tuple[Fill, ...]:
    return tuple(fill for record in run.journal.orders(run.id) for fill in record.fills)
