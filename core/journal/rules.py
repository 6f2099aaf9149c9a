"""What a person has approved, line by line, and whether one more order still lies within it.

A line is a symbol in a stage. Every attempt at it counts: what its orders have filled, may still fill,
and the new order together never exceed the approved quantity; a new attempt needs the one before it ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.errors import SafetyRefused
from core.journal.transitions import committed
from core.masking import mask_account
from core.model import USD_CAD, Order, OrderRecord, OrderState, Plan, RunId, RunRecord, Side, Stage, Symbol, TradeLine
from core.model.refs import parse_ref

Lines = Mapping[tuple[Stage, Symbol], "ApprovedLine"]


@dataclass(frozen=True, slots=True)
class ApprovedLine:
    """The side, and the most shares (USD for USD.CAD) that may ever be traded on it."""

    side: Side
    quantity: Decimal


def approved_lines(plan: Plan) -> Lines:
    """The lines of `plan` by stage and symbol, the currency conversion included when there is one."""
    lines = {
        **_by_symbol(Stage.SELL, Side.SELL, plan.sells),
        **_by_symbol(Stage.BUY, Side.BUY, plan.buys),
    }
    if plan.fx is not None and plan.fx.quantity:
        lines[Stage.FX, USD_CAD] = ApprovedLine(Side.BUY, plan.fx.quantity)
    return lines


def run_of(order: Order) -> RunId:
    """The run that the order's reference names. Raises SafetyRefused when it is not the reference of this order."""
    parsed = parse_ref(order.ref)
    if parsed is None or (parsed.stage, parsed.line, parsed.attempt) != (order.stage, order.line, order.attempt):
        raise _refused(order, f"not the reference of attempt {order.attempt} at line {order.line} of {order.stage}")
    return parsed.run_id


def check_belongs(order: Order, run: RunRecord) -> None:
    """Raise SafetyRefused unless `run` is under way, may send orders, and trades the order's account."""
    if run.ended_at is not None:
        raise _refused(order, f"run {run.run_id} has ended")
    if not run.mode.sends_orders:
        raise _refused(order, f"mode {run.mode} sends no orders")
    if order.account_id != run.account_id:
        raise _refused(order, f"account {mask_account(order.account_id)} is not the run's")


def check_within(order: Order, lines: Lines, earlier: Sequence[OrderRecord]) -> None:
    """Raise SafetyRefused unless `order` and the `earlier` orders of the run stay within the approved line."""
    symbol = order.contract.symbol
    line = lines.get((order.stage, symbol))
    if line is None or line.side is not order.side:
        raise _refused(order, f"no {order.side} of {symbol} in stage {order.stage} was approved")
    if order.quantity <= 0:
        raise _refused(order, f"a quantity of {order.quantity:f} is no order")
    attempts = [record for record in earlier if _line_of(record.order) == (order.stage, symbol)]
    for record in attempts:
        if record.state is OrderState.UNKNOWN or not record.is_settled:
            raise _refused(order, f"{record.order.ref} of the same line is {record.state.label}, not ended")
    spent = committed(attempts)
    if spent + order.quantity > line.quantity:
        raise _refused(
            order,
            f"{order.side} {order.quantity:f} {symbol} on top of {spent:f} exceeds the approved {line.quantity:f}",
        )


def _line_of(order: Order) -> tuple[Stage, Symbol]:
    return order.stage, order.contract.symbol


def _by_symbol(stage: Stage, side: Side, lines: Sequence[TradeLine]) -> dict[tuple[Stage, Symbol], ApprovedLine]:
    return {(stage, line.symbol): ApprovedLine(side, line.quantity) for line in lines}


def _refused(order: Order, why: str) -> SafetyRefused:
    return SafetyRefused(f"order {order.ref}: {why}", next_step="nothing was sent; start a new run for a new plan")
