"""Every store that a journal can have, and what a journal records, with sensible defaults."""

from __future__ import annotations

from builders import NOW, fill, order_record, plan
from hypothesis import strategies as st

from core.journal import Journal
from core.model import (
    USD,
    AccountId,
    Approval,
    BrokerEvent,
    CommissionReport,
    Mode,
    Notice,
    Order,
    OrderRecord,
    OrderRef,
    OrderState,
    OrderUpdate,
    Plan,
    RejectReason,
    RunId,
    RunRecord,
    Stage,
)
from core.model.refs import order_ref
from core.money import D

RUN = RunId("ABCDEFGHIJ23")
ACCOUNT = AccountId("DU1234567")
REF = OrderRef("RB-ABCDEFGHIJ23-B1-1")


def run_record(**changes: object) -> RunRecord:
    values: dict[str, object] = {
        "run_id": RUN,
        "flow_run_id": "flow",
        "account_id": ACCOUNT,
        "mode": Mode.PAPER,
        "started_at": NOW,
    }
    return RunRecord(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def answer(plan_hash: str, *, approved: bool = True) -> Approval:
    return Approval(plan_hash, approved, "Ann", NOW)


def approve(journal: Journal, approved: Plan) -> None:
    journal.ask(RUN, approved.hash, at=NOW)
    journal.answer(RUN, answer(approved.hash))
    journal.approve_lines(approved)


def approved_journal(journal: Journal, *lines: object) -> Journal:
    """A journal with a paper run under way, whose plan (one buy of 10 VTI) is approved."""
    journal.start_run(run_record())
    approve(journal, plan(*lines))  # type: ignore[arg-type]  # trade lines
    return journal


def order(**changes: object) -> Order:
    """The first attempt at 10 VTI; its reference follows from stage, line and attempt."""
    stage, line, attempt = changes.get("stage", Stage.BUY), changes.get("line", 1), changes.get("attempt", 1)
    symbol = changes.pop("symbol", "VTI")
    changes.setdefault("ref", order_ref(RUN, stage, line, attempt))  # type: ignore[arg-type]  # as given
    return order_record(str(symbol), **changes).order


def sent(journal: Journal, **changes: object) -> Order:
    """An order that has left."""
    made = order(**changes)
    journal.intend(made, at=NOW)
    journal.sending(made.ref, at=NOW)
    return made


def update(state: OrderState, filled: str = "0", **changes: object) -> OrderUpdate:
    values: dict[str, object] = {"order_ref": REF, "state": state, "filled": D(filled), "at": NOW, "perm_id": 7}
    return OrderUpdate(**(values | changes))  # type: ignore[arg-type]  # a builder takes any field


def part(shares: str, number: int = 1, revision: int = 1, **changes: object) -> BrokerEvent:
    """The execution of this number, of so many shares."""
    return fill(shares, exec_id=f"0000e0d5.{number:02d}.{revision:02d}", **changes)


def record_of(journal: Journal, ref: OrderRef = REF) -> OrderRecord:
    found = journal.order(ref)
    assert found is not None
    return found


def after_reports(journal: Journal, *events: BrokerEvent) -> OrderRecord:
    """The record after an order for 10 VTI was sent and the broker reported all this."""
    approved_journal(journal)
    sent(journal)
    for event in events:
        journal.record(event)
    return record_of(journal)


# whatever can happen to an order for 10 VTI that was sent; the texts are calls of ours
EVENTS = st.one_of(
    st.builds(
        lambda shares, number, revision: part(str(shares), number, revision),
        st.integers(1, 6),
        st.integers(1, 3),
        st.integers(1, 2),
    ),
    st.builds(
        lambda state, filled, perm_id: update(state, str(filled), perm_id=perm_id, reason="why", code=201),
        st.sampled_from(
            [
                OrderState.SENT,
                OrderState.WORKING,
                OrderState.CANCELLING,
                OrderState.CANCELLED,
                OrderState.REJECTED,
                OrderState.EXPIRED,
                OrderState.FILLED,
            ]
        ),
        st.integers(0, 10),
        st.sampled_from([0, 7, 7, 7, 8]),
    ),
    st.builds(
        lambda number, cents: CommissionReport(f"0000e0d5.{number:02d}.01", D(cents) / 100, USD),
        st.integers(1, 3),
        st.integers(0, 500),
    ),
    st.sampled_from(
        [
            Notice("held in TWS", NOW, 383, REF, RejectReason.REJECTED),
            Notice("price capped", NOW, 2161, REF),
            Notice("not about an order", NOW, 2104),
        ]
    ),
    st.sampled_from(["cancelling", "unknown"]),
)


def play(journal: Journal, event: BrokerEvent | str) -> None:
    if event == "cancelling":
        journal.cancelling(REF)
    elif event == "unknown":
        journal.unknown(REF, reason="nothing was reported")
    elif not isinstance(event, str):
        journal.record(event)
