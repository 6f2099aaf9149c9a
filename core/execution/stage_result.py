"""How a stage ended: what is on record of its orders, what failed, and whether the run may go on."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import (
    BrokerError,
    ContractNotFound,
    FractionRefused,
    FundsInsufficient,
    MarketClosed,
    OrderIncomplete,
    OrderRejected,
    PacingExceeded,
    RebalanceError,
)
from core.model import Order, OrderRecord, RejectReason

REJECTIONS: dict[RejectReason, tuple[type[BrokerError], str]] = {
    RejectReason.REJECTED: (
        OrderRejected,
        "read the broker's reason, change the settings or the account, then run again",
    ),
    RejectReason.MARGIN: (FundsInsufficient, "no further order was sent; free cash or margin, then run again"),
    RejectReason.FRACTION: (FractionRefused, "no further order was sent; set [rebalance] allow_fractional = false"),
    RejectReason.CONTRACT: (ContractNotFound, "give the symbol's conId under [symbol_overrides]"),
    RejectReason.PACING: (PacingExceeded, "no further order was sent; lower [ibkr] max_messages_per_second"),
    RejectReason.CLOSED: (MarketClosed, "no further order was sent; run again in market hours"),
}
STOPS_SENDING = (RejectReason.MARGIN, RejectReason.FRACTION, RejectReason.PACING, RejectReason.CLOSED)


@dataclass(frozen=True, slots=True)
class StageResult:
    """`records` in the order they were intended, `errors` in order of time, `unsent` what was never sent.

    `stopped_by` is why the run may send nothing more: the kill switch, a lost connection, an unknown order,
    a refused margin and the like. A rejected or partly filled order alone does not stop the next stage,
    which is sized by what has filled. `warnings` are what a person should know although nothing failed.
    """

    records: tuple[OrderRecord, ...]
    errors: tuple[RebalanceError, ...] = ()
    unsent: tuple[Order, ...] = ()
    stopped_by: RebalanceError | None = None
    warnings: tuple[str, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether the run may send nothing more."""
        return self.stopped_by is not None


def rejection_error(record: OrderRecord) -> BrokerError:
    """The failure for a rejected order: 27, or by the broker's reason 21, 22, 24, 25 or 26."""
    kind, next_step = REJECTIONS[record.reject_reason or RejectReason.REJECTED]
    return kind(f"{order_text(record)} was rejected{_because(record)}", next_step=next_step)


def incomplete_error(record: OrderRecord, *, was_told_to_stop: bool = False) -> OrderIncomplete:
    """The failure for an order that is confirmed to have ended with an unfilled remainder.

    Whoever told the run to stop had it cancelled, and needs no advice to run again.
    """
    filled = f"{order_text(record)} filled {record.filled:,f} and ended {record.state.label}"
    if was_told_to_stop:
        return OrderIncomplete(f"{filled}, as the run was told to stop", next_step="")
    return OrderIncomplete(
        f"{filled}{_because(record)}", next_step="the remainder is left as drift; run again for a new plan"
    )


def unsettled_text(record: OrderRecord, seconds: float) -> str:
    """The message for an order that the broker did not settle in time, with what it did send about the order."""
    # an order that is held, or waits for a dialog in TWS, has been reported on: it must not read as if it had not
    if not record.notices:
        return f"the broker did not report on {order_text(record)} for {seconds:g} s"
    messages = messages_about(record)
    return f"the broker did not settle {order_text(record)} within {seconds:g} s; its messages: {messages}"


def messages_about(record: OrderRecord) -> str:
    """The broker's messages about the order, in its own text."""
    return "; ".join(record.notices)


def order_text(record: OrderRecord) -> str:
    """The order for a message: its reference, side, quantity and symbol."""
    order = record.order
    return f"order {order.ref} ({order.side} {order.quantity:,f} {order.contract.symbol})"


def _because(record: OrderRecord) -> str:
    code = f" ({record.code})" if record.code else ""
    return f": {record.reason}{code}" if record.reason else code
