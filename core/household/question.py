"""The one question about all accounts of a household: a line for each, and each plan below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from core.masking import mask_accounts
from core.model import Plan
from core.report import approval_markdown, plan_warnings
from core.report.columns import Columns, left, lines_of, right
from core.report.facts import in_pieces
from core.report.formats import document, folded, html_code, html_lines, html_list, plain, small, whole
from core.report.pages import MODES, PHONE_WIDTH
from core.text import counted

_NAME_WIDTH = 14


@dataclass(frozen=True, slots=True)
class PlannedAccount:
    """An account whose plan waits for an answer."""

    name: str
    plan: Plan

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its owner should know before saying yes."""
        return plan_warnings(self.plan)


_LINES: Columns[PlannedAccount] = (
    left("account", lambda row: row.name[:_NAME_WIDTH]),
    right("sell", lambda row: str(len(row.plan.sells))),
    right("buy", lambda row: str(len(row.plan.buys))),
    right("turn%", lambda row: f"{row.plan.totals.turnover_pct:.0f}"),
    right("cost", lambda row: whole(row.plan.totals.spread_cost)),
    right("warn", lambda row: str(len(row.warnings))),
)


def household_hash(planned: Iterable[PlannedAccount]) -> str:
    """A hash over the hashes of all plans: a yes to the question is one to these plans and to no others."""
    return sha256("".join(sorted(row.plan.hash for row in planned)).encode()).hexdigest()


def household_question(name: str, planned: Sequence[PlannedAccount], others: Iterable[str], again: str = "") -> str:
    """The text above the form. `others` tell of the accounts that ask nothing, `again` why it is asked once more."""
    first = planned[0].plan
    until = min(row.plan.expires_at for row in planned)
    turnover = sum((row.plan.totals.sells + row.plan.totals.buys for row in planned), Decimal(0))
    summary = (
        *((f"**{again}**",) if again else ()),
        f"**{MODES[first.mode]}** · household {plain(name)} · until {until:%H:%M} UTC",
        f"**{counted(len(planned), 'account')}**, turnover {whole(turnover)} USD in all",
    )
    table = html_code(lines_of(_LINES, planned, PHONE_WIDTH))
    warnings = [f"{row.name}: {warning}" for row in planned for warning in row.warnings]
    text = document(
        small(html_lines(summary), table),
        folded(f"All warnings ({len(warnings)})", html_list(warnings)),
        folded("Accounts that ask nothing", html_list(others)),
        *(f"**{plain(row.name)}**\n\n{approval_markdown(row.plan, ())}" for row in planned),
        folded("What a yes is bound to", html_list([f"hash of all plans {in_pieces(household_hash(planned))}"])),
    )
    return mask_accounts(text)
