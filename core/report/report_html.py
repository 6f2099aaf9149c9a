"""report.html: a run on one page, for a browser, a phone and paper; what happened first, the settings last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from core.errors import leading_first
from core.masking import mask_account, mask_accounts
from core.model import LimitedBy, Mode, RunResult, TradeLine
from core.report import formats
from core.report.columns import OUTSIDE_TABLE
from core.report.facts import (
    account_figures,
    balances_text,
    conversion_figures,
    plan_facts,
    result_facts,
    totals_figures,
    traded_text,
)
from core.report.page_sections import (
    costs_section,
    drift_section,
    holdings_section,
    orders_section,
    outside_band,
)
from core.report.post_trade import CANCELLED, CASH_HEADINGS, cash_rows, gross_text, unmeasured_text
from core.report.sections import (
    APPROVAL_HEADINGS,
    GATE_HEADINGS,
    approval_rows,
    mode_text,
    run_warnings,
    verdict_rows,
)
from core.report.web_page import Grid, PageSection, figures_grid, grid_of, render
from core.text import counted

# the answers are to fit the first screen, of a phone too; all of it stands further down
_LONGEST = 280
_MOST_ERRORS = 2

_WHY_NOT = {
    LimitedBy.BAND: "inside the band",
    LimitedBy.MINIMUM: "below the minimum order",
    LimitedBy.MONEY: "limited by the money that is there",
    LimitedBy.LEVERAGE: "limited by leverage",
    LimitedBy.HELD: "limited by what is held",
    LimitedBy.DIRECTION: "on the side that is switched off",
    LimitedBy.MAXIMUM: "limited by the largest order",
    LimitedBy.ROUNDING: "less than a share away",
    None: "on target",
}


def report_html(outcome: RunResult) -> str:
    """The text of report.html, account ids masked; what did not happen is left out."""
    text = render(
        "report.html",
        _sections(outcome),
        title=f"Rebalance {outcome.run_id}",
        headline=f"Rebalance {outcome.run_id}: {outcome.ending.lower()}",
        meta=_meta(outcome),
        mood="bad" if outcome.errors else "good",
        summary=_summary(outcome),
    )
    return mask_accounts(text, outcome.account_id)


def _meta(outcome: RunResult) -> str:
    broker = "" if outcome.mode is Mode.REPORT_ONLY else f" · {outcome.broker or 'no broker'}"
    times = f"{formats.utc(outcome.started_at)} to {formats.utc(outcome.ended_at)}"
    return f"account {mask_account(outcome.account_id)} · {mode_text(outcome.mode)}{broker} · {times}"


def _summary(outcome: RunResult) -> list[tuple[str, list[str]]]:
    """The three questions of whoever opens the page, with their answers."""
    answers = (
        ("What happened?", (_what_happened(outcome),)),
        ("Did it work?", _did_it_work(outcome)),
        ("What is left?", _what_is_left(outcome)),
    )
    return [(question, [formats.shortened(text, _LONGEST) for text in texts]) for question, texts in answers]


def _what_happened(outcome: RunResult) -> str:
    traded, plan = traded_text(outcome), outcome.plan
    if traded:
        return _sentence(traded)
    if plan is None:
        return "Nothing was traded: there was no plan."
    if not plan.trades:
        return no_trades_text(plan.lines)
    planned = f"{counted(len(plan.sells), 'sell')} and {counted(len(plan.buys), 'buy')} were planned"
    why = "an order was never made" if outcome.mode.sends_orders else "this mode sends no orders"
    return f"Nothing was traded: {planned}, and {why}."


def no_trades_text(lines: tuple[TradeLine, ...]) -> str:
    """In one sentence why none of these lines trades."""
    if not lines:
        return "Nothing needed trading: there is no symbol with a target, and none is held."
    opening = "Nothing was traded" if any(line.is_held_back for line in lines) else "Nothing needed trading"
    counts = Counter(_WHY_NOT[line.limited_by] for line in lines)
    if len(counts) == 1:
        (why,) = counts
        return f"{opening}: every one of {counted(len(lines), 'symbol')} is {why}."
    parts = [f"{number} {'is' if number == 1 else 'are'} {why}" for why, number in counts.most_common()]
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"{opening}: of {counted(len(lines), 'symbol')}, {listed}."


def _did_it_work(outcome: RunResult) -> Iterator[str]:
    code = f"exit {outcome.exit_code:d}"
    if not outcome.errors:
        yield f"Yes: {outcome.reason} ({code})."
    errors = leading_first(outcome.errors)
    for at, error in enumerate(errors[:_MOST_ERRORS]):
        yield f"No: {error.message} ({code})." if not at else f"Also: {error.message} (exit {error.exit_code:d})."
        if error.next_step:
            yield f"What to do next: {error.next_step}."
    if len(errors) > _MOST_ERRORS:
        yield f"And {counted(len(errors) - _MOST_ERRORS, 'more failure')}, listed below."
    number = len(run_warnings(outcome))
    if number:
        yield f"{counted(number, 'warning')}, listed below."


def _what_is_left(outcome: RunResult) -> Iterator[str]:
    facts = dict(result_facts(outcome))
    plan = outcome.plan
    if plan is None:
        yield "The account is as it was, as far as this run knows."
        return
    if outcome.residual_drift_bps is not None:
        yield f"Drift: {'; '.join(filter(None, (facts['drift'], outside_band(outcome))))}."
    elif outcome.was_sent:
        yield f"{unmeasured_text(outcome)}."
    else:
        yield f"Drift: {dict(plan_facts(plan))['drift']}, if the plan is traded." if plan.trades else "No order is due."
    if outcome.after:
        yield f"Cash: {balances_text(outcome.after.cash)}."
    if outcome.was_sent and (exposure := gross_text(outcome)):
        yield exposure
    if outcome.was_sent and outcome.unaccounted:
        yield f"Not accounted for: {', '.join(outcome.unaccounted)}."


def _sections(outcome: RunResult) -> list[PageSection]:
    return [
        PageSection("What went wrong", grids=(_errors(outcome),), lines=_faults(outcome)),
        _account(outcome),
        holdings_section(outcome),
        drift_section(outcome),
        orders_section(outcome),
        costs_section(outcome),
        _gates(outcome),
        PageSection("Approvals", grids=(_texts("answers", APPROVAL_HEADINGS, approval_rows(outcome.approvals)),)),
        PageSection("Warnings", lines=run_warnings(outcome)),
        PageSection("Notes", lines=outcome.plan.notes if outcome.plan else ()),
        _timeline(outcome),
        _settings(outcome),
    ]


def _errors(outcome: RunResult) -> Grid:
    rows = [(f"{error.exit_code:d}", error.message, error.next_step) for error in leading_first(outcome.errors)]
    return Grid("failures", ("exit", "what happened", "what to do next"), (False, False, False), rows)


def _faults(outcome: RunResult) -> tuple[str, ...]:
    return tuple(fault for error in leading_first(outcome.errors) for fault in error.unnamed_faults)


def _account(outcome: RunResult) -> PageSection:
    plan = outcome.plan
    cash = Grid("cash", CASH_HEADINGS, (False, True, True, True, True), cash_rows(outcome))
    if plan is None:
        return PageSection("Account and cash", grids=(cash,))
    outside = sorted(plan.valuation.outside, key=lambda holding: holding.symbol)
    conversion = [("USD bought", formats.grouped(plan.fx.quantity)), *conversion_figures(plan.fx)] if plan.fx else []
    return PageSection(
        "Account and cash",
        grids=(
            cash,
            figures_grid("before trading", account_figures(plan)),
            figures_grid("plan", totals_figures(plan)),
            figures_grid("currency conversion", conversion if plan.fx and plan.fx.quantity else []),
            grid_of("outside holdings, left alone", OUTSIDE_TABLE, outside),
        ),
        lines=(plan.fx.reason,) if plan.fx else (),
    )


def _gates(outcome: RunResult) -> PageSection:
    rows = verdict_rows(outcome.gates)
    return PageSection("Data gates", grids=(Grid("verdicts", GATE_HEADINGS, (False, True, True, False, False), rows),))


def _timeline(outcome: RunResult) -> PageSection:
    rows = [(formats.clock(event.at), event.kind, event.detail) for event in outcome.events]
    cancelled = grid_of("orders of an earlier run, cancelled first", CANCELLED, outcome.cancelled)
    return PageSection("Course of the run", grids=(cancelled, _texts("steps", ("when (UTC)", "what", "detail"), rows)))


def _settings(outcome: RunResult) -> PageSection:
    rows = [(f"{name}.{key}", value) for name, values in outcome.settings.items() for key, value in values.items()]
    return PageSection("Settings", grids=(_texts("settings", ("setting", "value"), rows),))


def _texts(about: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Grid:
    return Grid(about, headings, (False,) * len(headings), rows)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
