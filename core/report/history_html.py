"""The past runs on one page: drift, turnover and cost over time, account by account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from core.masking import mask_accounts
from core.model import USD
from core.report.charts import drawn, history_chart
from core.report.formats import UNKNOWN
from core.report.history import COMMISSIONS, HISTORY, RESULT, SLIPPAGE_USD, PastRun
from core.report.web_page import Chart, Key, PageSection, grid_of, render
from core.text import counted


def _usd_commissions(run: PastRun) -> Decimal | None:
    """The commissions in USD; those in another currency stand in the table."""
    return None if run.commissions is None else run.commissions.get(USD, Decimal(0))


_Figure = Callable[[PastRun], Decimal | None]
_SERIES: Sequence[tuple[str, Sequence[tuple[str, _Figure]]]] = (
    (
        "Drift in bps, summed over all symbols",
        (("before", lambda run: run.drift_before_bps), ("after", lambda run: run.drift_after_bps)),
    ),
    ("Turnover in % of NetLiq", (("turnover", lambda run: run.turnover_pct),)),
    (
        "Cost in USD",
        (("slippage", lambda run: run.slippage_usd), ("commissions", _usd_commissions)),
    ),
)
_STYLES = ("full", "s1")
_IN_TEXT = 12


def history_html(runs: Iterable[PastRun]) -> str:
    """The page of these runs, the newest of each account first in its table; account ids masked."""
    by_account: dict[str, list[PastRun]] = {}
    for run in sorted(runs, key=lambda run: run.started_at):
        by_account.setdefault(run.account_id, []).append(run)
    sections = [_section(number, past) for number, (_, past) in enumerate(sorted(by_account.items()), start=1)]
    count = sum(map(len, by_account.values()))
    about = f"{counted(count, 'run')} of {counted(len(by_account), 'account')}" if count else "No run is on record."
    return mask_accounts(render("history.html", sections, title="Past runs", about=about))


def _section(number: int, runs: Sequence[PastRun]) -> PageSection:
    """One account, numbered since two may look the same when masked; `runs` are in order of time."""
    columns = (*HISTORY, COMMISSIONS, SLIPPAGE_USD, RESULT)
    return PageSection(
        f"Account {number}: {' '.join(filter(None, (runs[0].name, runs[0].account)))}",
        charts=tuple(_chart(title, series, runs) for title, series in _SERIES),
        grids=(grid_of("runs", columns, reversed(runs)),),
    )


def _chart(title: str, series: Sequence[tuple[str, _Figure]], runs: Sequence[PastRun]) -> Chart:
    values = [[_number(figure(run)) for run in runs] for _, figure in series]
    svg = drawn(lambda: history_chart([run.started_at for run in runs], values))
    keys = tuple(Key(style, name) for style, (name, _) in zip(_STYLES, series, strict=False))
    told = [
        f"{run.started_at:%Y-%m-%d}: " + ", ".join(f"{name} {_text(figure(run))}" for name, figure in series)
        for run in runs[-_IN_TEXT:]
    ]
    return Chart(title, svg, keys, f"{title}. The newest {len(told)}: {'; '.join(told)}.")


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _text(value: Decimal | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"
