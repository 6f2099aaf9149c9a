"""The sections that both reports share: every warning once, the verdicts of the gates, and who answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from core.model import Approval, GateFault, GateVerdict, Mode, Plan, RunResult
from core.report import formats
from core.report.formats import bullets, section, table

GATE_HEADINGS = ("gate", "rows", "checks", "verdict", "faults")
APPROVAL_HEADINGS = ("when", "who", "answer", "how", "note", "plan")
_ROWS_SHOWN = 10
_MODES = {
    Mode.REPORT_ONLY: "no connection, no orders",
    Mode.DRY_RUN: "no orders",
    Mode.PAPER: "orders go to the paper account",
    Mode.LIVE: "ORDERS TRADE REAL MONEY",
}


def mode_text(mode: Mode) -> str:
    """The mode and what it means for orders: `dry_run: no orders`."""
    return f"{mode}: {_MODES[mode]}"


def plan_warnings(plan: Plan, more: Iterable[str] = ()) -> tuple[str, ...]:
    """What a person must know before approving: `more` (of the gates, of the run), then the plan's own."""
    limits = (line.limit.warning for line in plan.lines if line.side and line.limit and line.limit.warning)
    fx = (plan.fx.warning,) if plan.fx and plan.fx.warning else ()
    # a dict keeps the first of each in its place, where a set would lose the order
    return tuple(dict.fromkeys((*more, *plan.valuation.warnings, *plan.warnings, *limits, *fx)))


def gate_warnings(gates: Iterable[GateVerdict]) -> tuple[str, ...]:
    """The faults of the gates that did not stop the run."""
    return tuple(
        f"gate {gate.table}: {fault.message}{f' ({rows_at_fault(fault)})' if fault.rows else ''}"
        for gate in gates
        if not gate.blocks
        for fault in gate.faults
    )


def run_warnings(outcome: RunResult) -> tuple[str, ...]:
    """All warnings of the run, those of its plan and of its gates included."""
    own = (*outcome.warnings, *gate_warnings(outcome.gates))
    return plan_warnings(outcome.plan, own) if outcome.plan else tuple(dict.fromkeys(own))


def rows_at_fault(fault: GateFault) -> str:
    """The rows by name, at most ten; then how many more there are."""
    more = len(fault.rows) - _ROWS_SHOWN
    return ", ".join(fault.rows[:_ROWS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def verdict_table(verdicts: Iterable[GateVerdict]) -> str:
    """A Markdown table with a row per gate: what it checked, its verdict, and the rows at fault."""
    rows = verdict_rows(verdicts)
    return table(GATE_HEADINGS, rows, ("rows", "checks")) if rows else ""


def verdict_rows(verdicts: Iterable[GateVerdict]) -> list[tuple[str, ...]]:
    """The cells of that table, under `GATE_HEADINGS`."""
    return [
        (gate.table, str(gate.rows), str(gate.checks), _verdict(gate), "; ".join(map(_fault, gate.faults)))
        for gate in verdicts
    ]


def gates_section(gates: Iterable[GateVerdict]) -> str:
    return section("Data gates", verdict_table(gates))


def gate_lines(gates: Iterable[GateVerdict]) -> Iterator[str]:
    """The same as a line of text for each gate."""
    for gate in gates:
        faults = "".join(f"; {_fault(fault)}" for fault in gate.faults)
        yield f"{gate.table}: {_verdict(gate)}, {gate.checks} checks of {gate.rows} rows{faults}"


def approvals_section(approvals: Iterable[Approval]) -> str:
    """Who answered what, when and how, with the hash of the plan it was about."""
    rows = approval_rows(approvals)
    return section("Approvals", table(APPROVAL_HEADINGS, rows) if rows else "")


def approval_rows(approvals: Iterable[Approval]) -> list[tuple[str, ...]]:
    """The cells of that table, under `APPROVAL_HEADINGS`."""
    return [
        (
            formats.utc(approval.at),
            approval.approver,
            "yes" if approval.approved else "no",
            approval.how,
            approval.note,
            approval.plan_hash[:12],
        )
        for approval in approvals
    ]


def warnings_section(warnings: Iterable[str]) -> str:
    return section("Warnings", bullets(warnings))


def _verdict(gate: GateVerdict) -> str:
    if gate.blocks:
        return "STOPPED"
    return "warning" if gate.faults else "passed"


def _fault(fault: GateFault) -> str:
    return f"{fault.message}: {rows_at_fault(fault)}" if fault.rows else fault.message
