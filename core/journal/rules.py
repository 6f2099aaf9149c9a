"""Who may answer, approve and intend: pure rules over what is on record, each with the refusal it raises.

A line is a symbol in a stage, on one side. Every attempt at it counts: what its orders have filled and the new order
together never exceed the approved quantity, and a new attempt needs the one before it ended, with all its fills here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from core.errors import AccountBusy, OrderStateUnknown, SafetyRefused
from core.journal.entries import LineKey, RunState
from core.masking import mask_account
from core.model import (
    FUNDING,
    AccountId,
    Order,
    OrderRecord,
    OrderState,
    Plan,
    RunId,
    RunRecord,
    Side,
    Stage,
)
from core.model.refs import parse_ref
from core.money import ZERO


def check_start(run: RunRecord, open_runs: Iterable[RunState]) -> None:
    """Raise what forbids a run that sends orders to start, where these runs of its account are open.

    OrderStateUnknown naming the orders that need a person, else AccountBusy naming a run that is to be recovered.
    """
    others = list(open_runs)
    needing = [record for state in others for record in state.needing_person]
    if needing:
        raise quarantined(run.account_id, needing)
    if others:
        raise AccountBusy(
            f"run {others[0].record.run_id} of account {mask_account(run.account_id)} has not ended",
            next_step="recover it first: rebalance recover --ini FILE",
        )


def quarantined(account_id: AccountId, orders: Sequence[OrderRecord]) -> OrderStateUnknown:
    """The refusal to trade an account while these orders of it need a person."""
    refs = ", ".join(record.order.ref for record in orders)
    return OrderStateUnknown(
        f"account {mask_account(account_id)} is not traded: what became of {refs} is not known",
        next_step=f"look it up in TWS or in the statement, cancel it there if it still works, then: "
        f"rebalance resolve {orders[0].order.ref} --found TEXT --ini FILE",
        faults=[f"{record.order.ref}: {record.reason}" for record in orders],
    )


def approved_lines(plan: Plan) -> Mapping[LineKey, Decimal]:
    """The most that may be traded of each line of `plan`: shares, or USD of the conversion if there is one."""
    fx = {(Stage.FX, FUNDING.symbol, FUNDING.side): plan.fx.quantity} if plan.fx and plan.fx.quantity else {}
    sells = {(Stage.SELL, line.symbol, Side.SELL): line.quantity for line in plan.sells}
    buys = {(Stage.BUY, line.symbol, Side.BUY): line.quantity for line in plan.buys}
    return {**fx, **sells, **buys}


def line_of(order: Order) -> LineKey:
    """The line that the order is an attempt at."""
    return order.stage, order.contract.symbol, order.side


def run_of(order: Order) -> RunId:
    """The run that the order's reference names. Raises SafetyRefused when it is not the reference of this order."""
    parsed = parse_ref(order.ref)
    if parsed is None or (parsed.stage, parsed.line, parsed.attempt) != (order.stage, order.line, order.attempt):
        raise _refused(order, f"not the reference of attempt {order.attempt} at line {order.line} of {order.stage}")
    return parsed.run_id


def check_answer(state: RunState, plan_hash: str) -> None:
    """Raise SafetyRefused unless an answer about this plan is to the question asked last, and the first to it."""
    if state.question is None or state.question != plan_hash:
        raise _no_consent("this answer is for a plan that was not asked about, or was answered before")


def check_approval(state: RunState, plan: Plan) -> None:
    """Raise SafetyRefused unless the last answer was a yes to exactly this plan and was not used before."""
    if state.consent is None or state.consent != plan.hash:
        raise _no_consent("this plan was not approved, or its approval was used before")


def check_intent(state: RunState, order: Order) -> None:
    """Raise SafetyRefused unless the run may send `order`, which is new, and stays within the approved line."""
    if order.ref in state.orders:
        raise SafetyRefused(
            f"order reference {order.ref} was used before",
            next_step="recover the run it belongs to; nothing is sent twice",
        )
    _check_belongs(order, state.record)
    _check_within(order, state)


def _check_belongs(order: Order, run: RunRecord) -> None:
    if run.ended_at is not None:
        raise _refused(order, f"run {run.run_id} has ended")
    if not run.mode.sends_orders:
        raise _refused(order, f"mode {run.mode} sends no orders")
    if order.account_id != run.account_id:
        raise _refused(order, f"account {mask_account(order.account_id)} is not the run's")


def _check_within(order: Order, state: RunState) -> None:
    symbol, line = order.contract.symbol, line_of(order)
    approved = state.lines.get(line)
    if approved is None:
        raise _refused(order, f"no {order.side} of {symbol} in stage {order.stage} was approved")
    if order.quantity <= 0:
        raise _refused(order, f"quantity must be positive, not {order.quantity:f}")
    attempts = [record for record in state.orders.values() if line_of(record.order) == line]
    for record in attempts:
        # UNKNOWN is final, yet what it stands for may still fill at the broker
        if record.state is OrderState.UNKNOWN or not record.is_settled:
            raise _refused(order, f"{record.order.ref} of the same line is {record.state.label}, not ended")
    # all attempts have ended and their fills are here, so nothing of them is open
    spent = sum((record.filled for record in attempts), ZERO)
    if spent + order.quantity > approved:
        raise _refused(
            order, f"{order.side} {order.quantity:f} {symbol} on top of {spent:f} exceeds the approved {approved:f}"
        )


def _no_consent(why: str) -> SafetyRefused:
    return SafetyRefused(why, next_step="nothing was sent; start a new run and approve its plan")


def _refused(order: Order, why: str) -> SafetyRefused:
    return SafetyRefused(f"order {order.ref}: {why}", next_step="nothing was sent; start a new run for a new plan")
