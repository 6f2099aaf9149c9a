"""The only place that sends orders: one stage at a time, one order at a time, each followed to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.broker.port import Broker
from core.errors import TRANSIENT, OrderStateUnknown, OutputFailed, RebalanceError
from core.execution.reconcile import cancel_or_mark_unknown, cancel_without_journal, reconcile
from core.execution.stage import Guard, Refresh, Reprice, StageContext, StageExecution
from core.execution.stage_result import StageResult, incomplete_error
from core.execution.tracker import LOOK_AT_ACCOUNT, OrderTracker
from core.journal import Journal
from core.model import Order, OrderRecord, OrderState, RunEvent
from core.model.refs import parse_ref
from core.settings import Settings


class OrderExecutor:
    """Sends the stages of one run.

    `guard` raises what forbids sending (the kill switch, a safety rule); it is called with each order before
    that is sent, and with None while orders work. `on_event` gets every step for the timeline.
    """

    def __init__(
        self,
        broker: Broker,
        journal: Journal,
        settings: Settings,
        guard: Guard,
        on_event: Callable[[RunEvent], None],
    ) -> None:
        self.settings = settings
        self.tracker = OrderTracker(broker, journal, settings.ibkr.read_attempts, on_event)
        self._context = StageContext(self.tracker, settings, guard, [])

    async def run_stage(
        self, orders: Sequence[Order], reprice: Reprice | None = None, refresh: Refresh | None = None
    ) -> StageResult:
        """Send `orders` and return when the broker has reported the end of each, or it is unknown.

        Each is sent when the broker has acknowledged the one before, at most `max_open_orders` working at a time. What
        has not filled in time is cancelled; when that is confirmed, `reprice` may give the remainder a new
        order. `refresh` gives an order that has waited a fresh price. Failures are in the result, not raised.
        """
        stage = StageExecution(self._context, orders, reprice, refresh)
        try:
            await self.tracker.start()
            await self._record_account(orders)
            await stage.run()
        except TRANSIENT as error:
            stage.fail(error)
        except OutputFailed as error:
            stage.fail(error)
            # what cannot be recorded must not be left working; cancelling needs no journal
            for failure in await self._cancel_without_journal():
                stage.fail(failure)
        return stage.result()

    async def drain(self) -> tuple[RebalanceError, ...]:
        """Process the events since the last stage; the failures that they are, as a rule none."""
        seen = len(self.tracker.failures)
        while not self.tracker.disconnected and await self.tracker.next_event(0) is not None:
            pass
        return tuple(self.tracker.failures[seen:])

    async def fetch_missed_fills(self) -> tuple[RebalanceError, ...]:
        """Reconcile our orders, for an account that our fills do not explain; the failures that this found.

        An order that an error had ended may have filled all the same, reported while there was no connection.
        """
        seen = len(self.tracker.failures)
        await reconcile(self.tracker, self._context.refs)
        return tuple(self.tracker.failures[seen:])

    async def cancel_all(self) -> tuple[RebalanceError, ...]:
        """End every order of ours that may still work, within `shutdown_seconds`; what could not be ended cleanly.

        For the end of a run, however it ends: after a cancelled task too. Connects again if need be, and
        does nothing at all when nothing is open.
        """
        seen = len(self.tracker.failures)
        try:
            # unsettled, not merely open: an order whose fills are not all here counts as well
            open_now = [record.order.ref for record in self.tracker.unsettled(self._context.refs)]
            if not open_now:
                return ()
            await cancel_or_mark_unknown(self.tracker, open_now, seconds=self.settings.execution.shutdown_seconds)
            ended = [self.tracker.record(ref) for ref in open_now]
        except OutputFailed as error:
            return error, *await self._cancel_without_journal()
        return (
            *self.tracker.failures[seen:],
            *(incomplete_error(record) for record in ended if _has_remainder(record)),
        )

    async def _record_account(self, orders: Sequence[Order]) -> None:
        """Put on record what the account holds before the stage: without it no order can be proved absent."""
        parsed = parse_ref(orders[0].ref) if orders else None
        if parsed is not None:
            snapshot = await self.tracker.reader.take_snapshot()
            self.tracker.journal.start_stage(parsed.run_id, orders[0].stage, snapshot.holdings)

    async def _cancel_without_journal(self) -> tuple[RebalanceError, ...]:
        """End our orders although the journal cannot be written; its records of them stay as they are."""
        # one failed write is enough: half a journal would be taken for a whole one
        self.tracker.is_journaling = False
        unconfirmed = await cancel_without_journal(
            self.tracker, self._context.refs, seconds=self.settings.execution.shutdown_seconds
        )
        if not unconfirmed:
            return ()
        refs = ", ".join(sorted(unconfirmed))
        return (
            OrderStateUnknown(
                f"the journal cannot be written, and cancellation could not be confirmed for: {refs}",
                next_step=LOOK_AT_ACCOUNT,
            ),
        )


def _has_remainder(record: OrderRecord) -> bool:
    return record.state is not OrderState.UNKNOWN and record.filled < record.order.quantity
