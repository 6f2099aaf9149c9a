"""The plan and the result as people read them on Prefect's pages: above the approval form, and as artifacts of the run.

The form's box is small even on a large screen, and on a phone it is 38 characters wide and 340 pixels high. So there
are no headings in it, the orders are lines of small print that cannot wrap, and what explains them is folded below.
The artifact of the result has the result first, then narrow tables, and everything else folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import RebalanceError, leading_first
from core.masking import VISIBLE, mask_accounts
from core.model import Approval, FxLeg, Mode, OutsideHolding, Plan, RunId, RunResult, Side, TradeLine
from core.money import ONE
from core.report import formats
from core.report.charts import picture
from core.report.columns import (
    PAGE_COSTS,
    PAGE_ORDERS,
    PHONE_ORDERS,
    PHONE_WEIGHTS,
    by_drift,
    drift_columns,
    headings,
    limit_text,
    lines_of,
    markdown_of,
    readings,
    trade_rows,
)
from core.report.facts import (
    account_figures,
    balances_text,
    conversion_figures,
    in_pieces,
    order_reason,
    totals_figures,
    traded_text,
)
from core.report.files import PAGE, POST_TRADE_FILES, PRE_TRADE_FILES
from core.report.formats import (
    aligned,
    bullets,
    code,
    document,
    folded,
    html_code,
    html_lines,
    html_list,
    plain,
    shortened,
    small,
)
from core.report.post_trade import order_notes
from core.report.pre_trade import PreTrade
from core.report.sections import gate_lines, gate_warnings, mode_text, plan_warnings, run_warnings
from core.report.web_page import Chart

PHONE_WIDTH = 38
# so many lines of small print fit the box of the form; of more, the largest and a count
MOST_ORDERS = 10
LARGEST = 8
MOST_WARNINGS = 2
WARNING_LENGTH = 90
MODES = {
    Mode.REPORT_ONLY: "REPORT ONLY, no orders",
    Mode.DRY_RUN: "DRY RUN, no orders",
    Mode.PAPER: "PAPER",
    Mode.LIVE: "LIVE: REAL MONEY IS TRADED",
}
_SHAPES = {"line": "line", "hollow": "circle", "bar": "bar"}
SIDES = {"plan": (Side.SELL, Side.BUY), "sells": (Side.SELL,), "buys": (Side.BUY,)}


def approval_markdown(plan: Plan, warnings: Iterable[str], part: str = "plan", charts: Iterable[Chart] = ()) -> str:
    """The text above the form: warnings, three lines of summary, the orders, charts; their explanations are folded.

    `part` is what is asked about: "plan", "sells" or "buys".
    """
    selection = _Selection.about(plan, part)
    known = plan_warnings(plan, warnings)
    first = _first(known)
    above = document(
        small(html_list(first), html_lines(_summary(selection)), html_code(_order_lines(selection.largest))),
        *_more(selection),
    )
    below = document(
        folded(f"All warnings ({len(known)})", html_list(known)) if first != known else "",
        _why(selection),
        folded("Every symbol: weights in %, drift in bps", html_code(_weights(plan))),
        _background(plan),
    )
    # not through the pictures, which no account id is in, and whose letters might look like one
    masked = (mask_accounts(text, plan.account_id).rstrip("\n") for text in (above, below))
    return document(next(masked), *map(_picture, charts), next(masked))


def plan_page(report: PreTrade) -> str:
    """The artifact: the same, with every warning, order and symbol shown."""
    plan = report.plan
    selection = _Selection.about(plan, "plan")
    text = document(
        "<br>".join(_summary(selection)),
        bullets(plan_warnings(plan, (*report.warnings, *gate_warnings(report.gates)))),
        code(_order_lines(selection)),
        bullets(plan.notes),
        "Every symbol: weights in %, drift in bps now and after the orders",
        code(_weights(plan)),
        _why(selection),
        folded("Why the others do not trade", html_list(_untraded_reasons(plan))),
        _background(plan),
    )
    return mask_accounts(text, plan.account_id)


def chart_page(run_id: RunId, charts: Iterable[Chart]) -> str:
    """The artifact of these charts; empty without any that could be drawn."""
    pictures = [text for text in map(_picture, charts) if text]
    return document(f"Run {run_id}", *pictures) if pictures else ""


def files_page(run_id: RunId, paths: Sequence[Path], computer: str) -> str:
    """The artifact of files by absolute paths in one folder of the computer of this name: where, and what is in each.

    No links: a browser opens no file by a link on a page that comes from a server.
    """
    about = {file.name: file.about for file in PRE_TRADE_FILES} | {file.name: file.about for file in POST_TRADE_FILES}
    page = [path.as_uri() for path in paths if path.name == PAGE]
    text = document(
        f"Run {run_id}: its files are on the computer {plain(computer)}, in the folder",
        code([str(paths[0].parent)]),
        formats.table(("file", "what is in it"), [(path.name, about.get(path.name, "")) for path in paths]),
        *(("A browser on that computer opens the report at the address", code(page)) if page else ()),
    )
    return mask_accounts(text)


def plan_summary(plan: Plan) -> tuple[str, ...]:
    """The three lines that stand above the form, as plain text."""
    return tuple(line.replace("**", "") for line in _summary(_Selection.about(plan, "plan")))


def result_page(outcome: RunResult) -> str:
    """The artifact; what did not happen is left out."""
    rows = trade_rows(outcome)
    text = document(
        _outcome(outcome),
        _listed("What went wrong", _errors(outcome.errors)),
        _listed("Warnings", run_warnings(outcome)),
        _listed("Notes", outcome.plan.notes if outcome.plan else ()),
        markdown_of(PAGE_ORDERS, rows),
        _listed("Order notes", order_notes(outcome)),
        _drifts(outcome),
        folded("Costs", html_code(lines_of(PAGE_COSTS, rows, PHONE_WIDTH)) if rows else ""),
        folded("Approvals", html_list(map(_answer, outcome.approvals))),
        folded("Data gates", html_list(gate_lines(outcome.gates))),
        folded("Settings", html_list(_settings(outcome))),
    )
    return mask_accounts(text, outcome.account_id)


@dataclass(frozen=True, slots=True)
class _Selection:
    """What a question is about: `lines` are sells before buys, the largest first; `fx` only with the whole plan."""

    plan: Plan
    part: str
    lines: tuple[TradeLine, ...]
    fx: FxLeg | None

    @classmethod
    def about(cls, plan: Plan, part: str) -> _Selection:
        traded = [line for line in plan.lines if line.side in SIDES[part]]
        ordered = sorted(traded, key=lambda line: (line.side is Side.BUY, -line.dollars, line.symbol))
        is_converted = part == "plan" and plan.fx is not None and plan.fx.quantity
        return cls(plan, part, tuple(ordered), plan.fx if is_converted else None)

    @property
    def largest(self) -> _Selection:
        """The same with its largest orders only, where there are many."""
        if len(self.lines) <= MOST_ORDERS:
            return self
        shown = sorted(self.lines, key=lambda line: -line.dollars)[:LARGEST]
        return _Selection(self.plan, self.part, tuple(line for line in self.lines if line in shown), self.fx)

    def rows(self, *, untargeted: bool) -> list[tuple[str, ...]]:
        """The orders as cells in the order they are sent; `untargeted` gives the sales of what has no target."""
        first = [_fx_row(self.fx)] if self.fx and not untargeted else []
        return [*first, *readings(PHONE_ORDERS, (line for line in self.lines if line.untargeted == untargeted))]


def _first(warnings: tuple[str, ...]) -> tuple[str, ...]:
    """The first warnings, short, and how many more there are."""
    short = tuple(shortened(warning, WARNING_LENGTH) for warning in warnings[:MOST_WARNINGS])
    hidden = len(warnings) - len(short)
    return (*short, f"and {hidden} more, below the orders") if hidden else short


def _summary(selection: _Selection) -> tuple[str, str, str]:
    """Mode and account; what is traded; what it moves, costs and leaves: three lines, with what is bold in `**`."""
    plan, totals = selection.plan, selection.plan.totals
    until = f" · until {plan.expires_at:%H:%M} UTC" if plan.mode.sends_orders else ""
    only = "" if selection.part == "plan" else f"only the {selection.part}: "
    left = ", ".join(
        f"{formats.whole(amount)} {name}" for name, amount in sorted(totals.cash_after.items(), reverse=True)
    )
    cost = "under 1" if totals.spread_cost < ONE else f"≈ {formats.whole(totals.spread_cost)}"
    return (
        f"**{MODES[plan.mode]}** · account …{plan.account_id[-VISIBLE:]}{until}",
        f"**{only}{_counts(selection)}**",
        f"turnover {totals.turnover_pct:.0f} %, cost {cost} USD, cash after {left}",
    )


def _counts(selection: _Selection) -> str:
    sells, buys = (sum(line.side is side for line in selection.lines) for side in (Side.SELL, Side.BUY))
    untargeted = sum(line.untargeted for line in selection.lines)
    parts = (
        f"sell {sells}{f' ({untargeted} without a target)' if untargeted else ''}" if sells else "",
        f"buy {buys}" if buys else "",
        f"convert {formats.whole(selection.fx.quantity)} USD" if selection.fx else "",
    )
    return ", ".join(filter(None, parts)) or "nothing to trade"


def _more(selection: _Selection) -> tuple[str, ...]:
    """How many orders are not shown above, and all of them, folded."""
    hidden = len(selection.lines) - len(selection.largest.lines)
    if not hidden:
        return ()
    everything = folded(f"All {len(selection.lines)} orders", html_code(_order_lines(selection)))
    return (f"**and {hidden} more**, none larger than these", everything)


def _order_lines(selection: _Selection) -> list[str]:
    """The orders as lines; the sales of holdings without a target under a title of their own."""
    targeted, apart = selection.rows(untargeted=False), selection.rows(untargeted=True)
    # their sale closes a position, which must not be overlooked among adjustments
    title = [("WITHOUT A TARGET",)] if apart else []
    return aligned([headings(PHONE_ORDERS), *targeted, *title, *apart], PHONE_WIDTH) if targeted or apart else []


def _fx_row(leg: FxLeg) -> tuple[str, ...]:
    """The conversion as an order: its shares are USD, its prices CAD per USD."""
    quantity, worst = formats.grouped(leg.quantity), formats.price(leg.worst_rate)
    return ("FX   USD", quantity, limit_text(leg), worst, formats.whole(leg.quantity))


def _weights(plan: Plan) -> list[str]:
    """Every symbol as a line: its weights in % of the investable value, its drift in bps now and after the orders."""
    return lines_of(PHONE_WEIGHTS, by_drift(plan.lines), PHONE_WIDTH)


def _why(selection: _Selection) -> str:
    reasons = (f"{line.side} {line.symbol}: {order_reason(line)}" for line in selection.lines)
    return folded("Why each order, and how its limit was made", html_list(reasons))


def _untraded_reasons(plan: Plan) -> Iterable[str]:
    return (f"{line.symbol}: {line.reason}" for line in by_drift(plan.lines) if line.side is None)


def _background(plan: Plan) -> str:
    """Which plan this is, and what its orders follow from: totals, account, conversion, what stays."""
    run = (f"run {plan.run_id}", f"made {formats.utc(plan.created_at)}", f"plan hash {in_pieces(plan.hash)}")
    return folded(
        "Run, totals, account, conversion, holdings left alone",
        html_list(run, "Run"),
        html_list(map(_figure, totals_figures(plan)), "Totals"),
        html_list(map(_figure, account_figures(plan)), "Account"),
        html_list(_conversion(plan.fx), "Currency conversion"),
        html_list(map(_left_alone, plan.valuation.outside), "Holdings left alone"),
        html_list(plan.notes, "Notes"),
    )


def _conversion(leg: FxLeg | None) -> tuple[str, ...]:
    if leg is None:
        return ()
    return (leg.reason, *(map(_figure, conversion_figures(leg)) if leg.quantity else ()))


def _left_alone(holding: OutsideHolding) -> str:
    return f"{formats.grouped(holding.quantity)} {holding.symbol}, {formats.whole(holding.value)} USD: {holding.why}"


def _figure(figure: tuple[str, str]) -> str:
    name, value = figure
    return f"{name}: {value}"


def _outcome(outcome: RunResult) -> str:
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
    for error in leading_first(errors):
        yield f"exit {error.exit_code:d}: {error}"
        yield from error.unnamed_faults


def _answer(answer: Approval) -> str:
    verdict = "yes" if answer.approved else "no"
    note = f": {answer.note}" if answer.note else ""
    return f"{verdict} by {answer.approver} ({answer.how}, {formats.utc(answer.at)}){note}"


def _drifts(outcome: RunResult) -> str:
    """How far every symbol was from its target, and is."""
    if outcome.plan is None or outcome.residual_drift_bps is None:
        return ""
    symbol, _, target, _, before, _, residual = drift_columns(outcome, "sum of all")
    columns = (symbol, target.titled("target %"), before.titled("before bps"), residual.titled("left bps"))
    return markdown_of(columns, by_drift(outcome.plan.lines), outcome.plan)


def _picture(chart: Chart) -> str:
    """What the marks of the chart mean, and it as an image, on one line; empty where it could not be drawn."""
    if not chart.svg:
        return ""
    keys = ", ".join(f"{_SHAPES[key.mark]} = {key.text}" for key in chart.keys)
    return f"{plain(chart.title)}: {keys}<br>![{plain(chart.alternative)}]({picture(chart.svg)})"


def _settings(outcome: RunResult) -> Iterable[str]:
    return (f"{name}.{key} = {value}" for name, values in outcome.settings.items() for key, value in values.items())
