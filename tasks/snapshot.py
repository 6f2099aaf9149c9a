"""Read the account: before planning, with orders of an earlier run cancelled, and after trading, to explain it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from core.errors import LedgerBehind, RebalanceError
from core.execution import (
    LEDGER_SECONDS,
    LOOK_SECONDS,
    cancel_orphaned_orders,
    cancel_still_working,
    overdrafts,
    unbooked,
    unexplained_changes,
)
from core.market.quotes import judge_all
from core.masking import mask_account
from core.model import AccountSnapshot, Fill, Plan
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
        for warning in snapshot.left_alone:
            run.warn(warning)
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
    """The account, complete at one moment, once its cash has what this run's fills brought. Raises BrokerError.

    Cash that has not come in minutes is a failure of the run, which goes on with what is there.
    """
    snapshot = await run.reader.take_snapshot()
    if not run.has_sent:
        return snapshot
    until = run.broker.now() + timedelta(seconds=LEDGER_SECONDS)
    while (missing := _unbooked(run, snapshot)) and run.broker.now() < until:
        run.log_step("account", f"the ledger lacks {missing:,.2f} USD of the fills on record, looking again")
        await run.broker.sleep(LOOK_SECONDS)
        snapshot = await run.reader.take_snapshot()
    if missing and not any(isinstance(error, LedgerBehind) for error in run.errors):
        run.fail(
            LedgerBehind(
                f"the account shows {missing:,.2f} USD less than the fills on record make, {LEDGER_SECONDS:g} s after"
                " them: the buys are sized by what it shows",
                next_step="compare cash and executions in TWS, then run again for what was not bought",
            )
        )
    return snapshot


def _unbooked(run: Run, snapshot: AccountSnapshot) -> Decimal:
    usual = run.settings.rebalance.commission_per_order_usd
    return unbooked(run.journal.state(run.id), snapshot.cash, usual)


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
    """Read the account again: residual drift, cash, and as red warnings overdrafts and what our fills do not explain.

    Orders of this run that still work are cancelled, and the run fails for them. Drift that cannot be measured is a
    warning.
    """
    after = run.after = await _read_after_trading(run)
    plan, before = run.plan, run.before
    if plan is None or before is None:
        return
    await _explain_changes(run, before, after)
    for overdraft in overdrafts(before, after, plan.targets):
        run.warn(overdraft)
    try:
        await _measure_drift(run, after, plan)
    except RebalanceError as error:
        # everything has been traded: what could not be measured is no failure of it
        run.warn(f"the drift that is left could not be measured: {error}")


async def _read_after_trading(run: Run) -> AccountSnapshot:
    """The account with no order of this run working in it."""
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
    return after


async def _explain_changes(run: Run, before: AccountSnapshot, after: AccountSnapshot) -> None:
    # executions first: a fill that was missed while disconnected is the most common cause of a difference
    if unexplained_changes(before, after, _fills(run)):
        for failure in await run.executor.fetch_missed_fills():
            run.fail(failure)
    for change in unexplained_changes(before, after, _fills(run)):
        run.warn(change)


async def _measure_drift(run: Run, after: AccountSnapshot, plan: Plan) -> None:
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
