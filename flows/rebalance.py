"""The rebalance, top to bottom: models → account → plan → approval → currency, sells, buys → report."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from prefect import State, flow
from pydantic import StrictBool

from core.errors import PlanKeptChanging, RebalanceError
from core.model import AccountSnapshot, BrokerKind, Contract, Mode, Plan, Quote, Stage, Symbol, Targets
from core.planning import MarketReader, PlanInputs, observing
from core.planning.invalidation import void_reasons
from flows.admission import check_approvers, check_elsewhere, check_in_time, check_server_of
from flows.approval import Deadline, FormApprover, ask
from flows.cancellation import restore_after_cancellation, stoppable
from flows.identity import run_name, tag_run
from flows.liveness import current_flow_run_id
from flows.parameters import with_titles
from flows.states import final_state
from tasks.app.artifacts import Milestone, show_progress
from tasks.app.notify import ended_note, notify, page, webhook
from tasks.app.preload import preload
from tasks.app.request import AccountText, FilePath, OneBroker, OneMode, Overrides, Request
from tasks.app.run import Run
from tasks.app.wiring import current_session, failed_start, prepare
from tasks.buys import buy, size_buys
from tasks.fx import convert_currency
from tasks.gates import gate_account, gate_plan, gate_portfolios, gate_quotes
from tasks.inputs import blend_targets, load_models
from tasks.lifecycle import account_locked, reporting
from tasks.plan import check_blackout, check_hours, is_cooling_down, plan_trades
from tasks.preflight import preflight_orders
from tasks.quotes import resolve_contracts, take_quotes
from tasks.recovery import check_record
from tasks.report import report_plan
from tasks.sells import price_sells, sell
from tasks.snapshot import check_account, review_account, take_snapshot
from tasks.stage import check_kill_switch, start_stage

# a market that moves after every approval needs a person, not a fourth form
MOST_PLANS = 3


@with_titles
@flow(
    name="rebalance",
    flow_run_name=run_name,
    # a run that failed may have sent orders: a new run plans from the account as it is then
    retries=0,
    persist_result=False,
    # Request checks them, and its one line shows no values, as pydantic's would: one may be an account id
    validate_parameters=False,
    on_cancellation=[restore_after_cancellation],
)
async def rebalance(  # noqa: PLR0913, PLR0917 - a deployment's parameters are the fields of its form
    csv: FilePath,
    ini: FilePath,
    mode: OneMode = Mode.DRY_RUN,
    account: AccountText | None = None,
    broker: OneBroker = BrokerKind.IBKR,
    market: FilePath | None = None,
    overrides: Overrides | None = None,
    *,
    confirm_live: StrictBool = False,
) -> State[Any]:
    """Bring the account back to its target weights; a plain call returns what result.json says.

    It raises the RebalanceError that ended the run, after the report was written.

    Args:
        csv: the models and their target percentages, a path on the machine that runs it
        ini: the mix, the bands, the account and the safety rails, a path on the machine that runs it
        mode: report_only plans from the market file; dry_run reads the account and sends nothing; paper and live
            send orders once a person has approved them
        account: instead of [ibkr] account_id of the settings: an id such as DU1234567, or an account of a household as
            accounts.yaml#NAME, whose id then stands in no parameter
        broker: ibkr is the real gateway; simulated is a gateway of our own with a made-up market; fake is the same
            in memory
        market: account and quotes for report_only, and for the simulated and fake brokers
        overrides: settings of this run alone, such as {"rebalance.min_order_usd": 0}
        confirm_live: live needs this second confirmation, beside the approval
    """
    flow_run_id, request = str(current_flow_run_id() or uuid4()), None
    try:
        request = Request.of(
            csv=csv,
            ini=ini,
            mode=mode,
            account=account,
            broker=broker,
            market=market,
            overrides=overrides,
            confirm_live=confirm_live,
        )
        await tag_run(request)
        run = prepare(request, flow_run_id, FormApprover())
        async with stoppable(run, lambda: final_state(run.result())), reporting(run):
            await rebalance_account(run)
    except RebalanceError as error:
        result = failed_start(request, flow_run_id, error)
        await notify(None if current_session().source else webhook(), ended_note(result, page()))
        return final_state(result)
    return final_state(run.result())


async def rebalance_account(run: Run) -> None:
    """From the models to the last fill. Raises the failure that ends the run, for `reporting` to report."""
    check_in_time()
    async with account_locked(run):
        await check_server_of(run)
        await check_elsewhere(run)
        await check_approvers(run)
        check_kill_switch(run)
        if is_cooling_down(run):
            return
        preload()
        await show_progress(run, Milestone.STARTED)
        rows = await load_models(run)
        async with run.connected():
            await check_account(run)
            await check_record(run)
            # only now: what the gates are built from is still being imported while the run connects
            await gate_portfolios(run, rows)
            targets = await blend_targets(run, rows)
            observed = await observe(run, targets)
            plan = await plan_and_report(run, observed)
        if run.mode.sends_orders:
            await approve_and_trade(run, observed, plan)


async def observe(run: Run, targets: Targets) -> PlanInputs:
    """The account and the market at this moment, past their gates."""

    async def snapshot() -> AccountSnapshot:
        taken = await take_snapshot(run)
        await gate_account(run, taken)
        return taken

    async def quotes(contracts: Mapping[Symbol, Contract]) -> Mapping[Symbol, Quote]:
        taken = await take_quotes(run, contracts)
        await gate_quotes(run, contracts, taken)
        return taken

    reads = MarketReader(snapshot, partial(resolve_contracts, run, targets), quotes, run.broker.now)
    return await observing.observe(reads, run.id, run.mode, targets, run.settings)


async def plan_and_report(run: Run, observed: PlanInputs) -> Plan:
    """The plan for what was observed, past its gate, and published."""
    plan = await plan_trades(run, observed)
    await gate_plan(run, plan, observed)
    await report_plan(run, plan)
    return plan


async def approve_and_trade(run: Run, observed: PlanInputs, plan: Plan) -> None:
    """Ask, read account and market again, and trade only if they are still as approved; else plan and ask again."""
    deadline = Deadline(run.settings.approval.timeout_seconds)
    for _ in range(MOST_PLANS):
        if not plan.trades:
            return
        await ask(run, plan, deadline)
        await show_progress(run, Milestone.APPROVED)
        async with run.connected():
            await check_account(run)
            run.guard()
            now = await observe(run, observed.targets)
            check_hours(run, plan)
            changes = void_reasons(plan, observed.snapshot, now, run.settings)
            if not changes:
                await trade(run, plan, now, deadline)
                return
            run.warn(f"the approved plan is void: {'; '.join(changes)}")
            observed, plan = now, await plan_and_report(run, now)
    raise PlanKeptChanging(
        f"account or market changed after each of {MOST_PLANS} approvals",
        next_step="run again in a calmer market, or raise [approval] max_price_move_bps",
    )


async def trade(run: Run, plan: Plan, now: PlanInputs, deadline: Deadline) -> None:
    """The three stages, each only when the broker has reported the end of the one before."""
    run.journal.approve_lines(plan)
    each_stage = run.settings.approval.each_stage
    if run.settings.execution.preflight:
        # a what-if costs a message per order, so it is asked only of what was approved
        plan = await preflight_orders(run, plan, now)
    await convert_currency(run, plan, now)
    await show_progress(run, Milestone.CONVERTED)
    start_stage(run, Stage.SELL)
    if plan.sells:
        approved, plan = plan, await price_sells(run, plan)
        if plan.sells and each_stage:
            await ask_for_stage(run, plan, deadline, Stage.SELL)
            approved, plan = plan, await price_sells(run, plan)
        await sell(run, plan, approved)
    await show_progress(run, Milestone.SOLD)
    start_stage(run, Stage.BUY)
    if plan.buys:
        plan = await size_buys(run, plan, await observe(run, now.targets))
        if plan.buys and each_stage:
            plan = await size_buys(run, plan, await ask_for_stage(run, plan, deadline, Stage.BUY))
        await buy(run, plan)
    await show_progress(run, Milestone.BOUGHT)
    await review_account(run)


async def ask_for_stage(run: Run, plan: Plan, deadline: Deadline, stage: Stage) -> PlanInputs:
    """Account and market after an approval of this stage alone; disconnected meanwhile.

    Raises PlanKeptChanging when account or prices are not what they were before the question: the first approval does
    not cover them, and a new run plans for what is needed now; MarketClosed when the session ends too soon by now.
    """
    before = await take_snapshot(run)
    # a gateway may restart while a person thinks; nothing of ours works meanwhile
    await run.disconnect()
    await ask(run, plan, deadline, stage)
    run.guard()
    await check_account(run)
    now = await observe(run, plan.targets)
    # whatever was converted is done: its rate matters no more
    left = replace(plan, lines=(*(plan.sells if stage is Stage.SELL else ()), *plan.buys), fx=None)
    check_hours(run, left)
    check_blackout(run)
    asked = left.sells if stage is Stage.SELL else left.buys
    changes = void_reasons(replace(left, lines=asked), before, now, run.settings)
    if changes:
        raise PlanKeptChanging(
            f"account or market changed while the {stage.lower()}s waited for approval: {'; '.join(changes)}",
            next_step="they were not sent; run again for a new plan",
        )
    return now
