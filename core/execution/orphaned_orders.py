"""Working orders that are there before we plan or after we traded: our own are ended, anybody else's respected."""

from __future__ import annotations

from collections.abc import Collection

from core.errors import AccountBusy, OrderStateUnknown
from core.execution.cancel import cancel_without_journal
from core.execution.executor import OrderExecutor
from core.execution.tracker import LOOK_AT_ACCOUNT as LOOK
from core.model import AccountSnapshot, ForeignOrders, OrderRef, Symbol, WorkingOrder
from core.model.refs import belongs_to_us


async def cancel_orphaned_orders(executor: OrderExecutor, snapshot: AccountSnapshot) -> tuple[WorkingOrder, ...]:
    """The working orders of an earlier run of ours, now cancelled by the broker's word; none is the rule.

    Call it with the account's lock held, in modes that trade; read the account again when it found any,
    for they may have filled meanwhile. Raises OrderStateUnknown when an end is not confirmed within
    `shutdown_seconds`.
    """
    ours = tuple(order for order in snapshot.working_orders if belongs_to_us(order.order_ref))
    if not ours:
        return ()
    refs = [order.order_ref for order in ours]
    left = await cancel_without_journal(executor.tracker, refs, seconds=executor.rules.shutdown_seconds)
    if left:
        raise OrderStateUnknown(
            f"orders of an earlier run could not be cancelled for certain: {', '.join(sorted(left))}",
            next_step="cancel them in TWS, then run again",
        )
    return ours


async def cancel_still_working(
    executor: OrderExecutor, snapshot: AccountSnapshot, refs: Collection[OrderRef]
) -> OrderStateUnknown | None:
    """What to say of orders of this run that work after it has seen all of them end; they are cancelled now.

    None when there is none, as long as the broker keeps its word.
    """
    alive = sorted(order.order_ref for order in snapshot.working_orders if order.order_ref in refs)
    if not alive:
        return None
    left = await cancel_without_journal(executor.tracker, alive, seconds=executor.rules.shutdown_seconds)
    done = f"cancel {', '.join(sorted(left))} in TWS" if left else "the broker has cancelled them now"
    return OrderStateUnknown(f"still at work at the end of the run: {', '.join(alive)}", next_step=f"{done}; {LOOK}")


def check_foreign_orders(
    snapshot: AccountSnapshot, symbols: Collection[Symbol], setting: ForeignOrders
) -> tuple[str, ...]:
    """A warning for each working order that is not ours in one of the plan's `symbols`.

    Raises AccountBusy naming them all when the setting is to refuse.
    """
    foreign = [
        order for order in snapshot.working_orders if order.symbol in symbols and not belongs_to_us(order.order_ref)
    ]
    texts = tuple(f"{order.side} {order.quantity - order.filled:f} {order.symbol}" for order in foreign)
    if texts and setting is ForeignOrders.REFUSE:
        raise AccountBusy(
            f"somebody else's orders work in symbols of the plan: {', '.join(texts)}",
            next_step="cancel them or let them end, or set execution.foreign_orders = ignore",
        )
    return tuple(f"somebody else's order works beside ours: {text}" for text in texts)
