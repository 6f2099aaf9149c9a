"""The page of settings, made from the settings themselves: `python -m deployments.readme`."""

from __future__ import annotations

from pathlib import Path

from core.report.formats import table
from core.settings import describe

SETTINGS_PAGE = Path(__file__).parent.parent / "core" / "settings" / "README.md"
HEAD = """# Settings

Every key of `settings.ini`. Only `[ibkr] account_id` and one model or more are required.

- Precedence: the file, then the environment (`REBALANCER__SECTION__KEY`), then the run (`--set section.key=value`,
  or `overrides` in the form of a deployment).
- Unknown sections and keys are errors, with the nearest known name suggested; all faults are reported at once.
- Comments start with `;` or `#`, on a line of their own or after white space. Relative paths count from the file's
  folder.
- The effective settings stand at the end of every report, with the account masked.

`rebalance init` writes a file with every key explained; `rebalance check` says whether yours is understood.
"""


def settings_page() -> str:
    """Every key with its default, what it takes and what it means, as Markdown."""
    rows = [(f"{each.section}.{each.key}", each.default, _signs(each.type), each.meaning) for each in describe()]
    return f"{HEAD}\n{table(('key', 'default', 'takes', 'meaning'), rows)}\n"


def _signs(text: str) -> str:
    return text.replace(">=", "≥").replace("<=", "≤")


if __name__ == "__main__":
    SETTINGS_PAGE.write_text(settings_page())
