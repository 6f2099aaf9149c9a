"""What happened, as the artifact of the run shows it: the result first, narrow tables, the rest folded away."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import RebalanceError, leading
from core.masking import VISIBLE, mask_accounts
from core.model import Approval, RunResult
from core.money import ZERO
from core.report import formats
from core.report.approval import PHONE_WIDTH
from core.report.facts import balances_text, traded_text
from core.report.formats import (
    UNKNOWN,
    bullets,
    columns,
    document,
    folded,
    html_code,
    html_list,
    plain,
    table,
    with_commas,
)
from core.report.post_trade import order_notes
from core.report.rows import PostTradeRow, by_drift, post_trade_rows
from core.report.sections import gate_lines, mode_text, run_warnings

ORDERS = ("order", "filled", "average", "status")
COSTS = ("notional", "commission", "slip bps")
DRIFTS = ("symbol", "target %", "before bps", "left bps")


def result_page(outcome: RunResult) -> str:
    """The artifact; what did not happen is left out."""
    rows = post_trade_rows(outcome)
    text = document(
        _summary(outcome),
        _listed("What went wrong", _errors(outcome.errors)),
        _listed("Warnings", run_warnings(outcome)),
        _listed("Notes", outcome.plan.notes if outcome.plan else ()),
        table(ORDERS, map(_order, rows), ORDERS[1:3]) if rows else "",
        _listed("Of the orders", order_notes(outcome)),
        _drifts(outcome),
        folded("Costs", html_code(columns([("", *COSTS), *map(_costs, rows)], PHONE_WIDTH)) if rows else ""),
        folded("Answers to the plan", html_list(map(_answer, outcome.approvals))),
        folded("Data gates", html_list(gate_lines(outcome.gates))),
        folded("Settings", html_list(_settings(outcome))),
    )
    return mask_accounts(text, outcome.account_id)


def _summary(outcome: RunResult) -> str:
    """How it ended and why; whose account and which mode; what was traded and is left."""
    left = balances_text(outcome.after.cash) if outcome.after else ""
    reason = "" if outcome.errors else f": {plain(outcome.reason)}"
    return "<br>".join(
        filter(
            None,
            (
                f"**{outcome.ending}**, exit {outcome.exit_code:d}{reason}",
                f"account …{outcome.account_id[-VISIBLE:]} · {mode_text(outcome.mode)} · run {outcome.run_id}",
                traded_text(outcome),
                f"cash after: {left}" if left else "",
            ),
        )
    )


def _listed(title: str, lines: Iterable[str]) -> str:
    listed = bullets(lines)
    return f"**{title}**\n\n{listed}" if listed else ""


def _errors(errors: tuple[RebalanceError, ...]) -> Iterable[str]:
    """Every failure with what to do next, that of the exit code first, and its single faults."""
    first = leading(errors) if errors else None
    for error in sorted(errors, key=lambda each: each is not first):
        yield f"exit {error.exit_code:d}: {error}"
        yield from (fault for fault in error.faults if fault not in error.message)


def _order(row: PostTradeRow) -> tuple[str, ...]:
    is_whole = row.filled_shares == row.ordered_shares
    filled = row.filled_shares if is_whole else f"{row.filled_shares or 0} of {row.ordered_shares}"
    return tuple(map(with_commas, (f"{row.side} {row.symbol}", filled, row.avg_price, row.state)))


def _answer(answer: Approval) -> str:
    word = "yes" if answer.approved else "no"
    note = f": {answer.note}" if answer.note else ""
    return f"{word} by {answer.approver} ({answer.how}, {formats.utc(answer.at)}){note}"


def _costs(row: PostTradeRow) -> tuple[str, ...]:
    is_unknown = not row.commission and row.filled_shares not in ("", "0")
    commission = UNKNOWN if is_unknown else row.commission
    return tuple(map(with_commas, (f"{row.side} {row.symbol}", row.notional, commission, row.slippage_bps)))


def _drifts(outcome: RunResult) -> str:
    """How far every symbol was from its target, and is."""
    residual = outcome.residual_drift_bps
    if outcome.plan is None or residual is None:
        return ""
    rows = [
        (
            line.symbol,
            formats.percent(line.target),
            *map(formats.bps, (line.drift_bps, residual.get(line.symbol))),
        )
        for line in by_drift(outcome.plan.lines)
    ]
    totals = outcome.plan.totals
    sums = (totals.drift_before_bps, sum(map(abs, residual.values()), ZERO))
    cells = (map(with_commas, row) for row in (*rows, ("sum of all", "", *map(formats.bps, sums))))
    return table(DRIFTS, [tuple(row) for row in cells], DRIFTS[1:])


def _settings(outcome: RunResult) -> Iterable[str]:
    return (f"{name}.{key} = {value}" for name, values in outcome.settings.items() for key, value in values.items())
