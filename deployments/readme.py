"""The README's table of settings, made from the settings themselves: `python -m deployments.readme`."""

from __future__ import annotations

from pathlib import Path

from core.report.formats import table
from core.settings import describe

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- settings: made by `make readme` -->\n", "<!-- end of settings -->"


def settings_table() -> str:
    """Every key with its default, what it takes and what it means, as Markdown."""
    rows = [(f"{each.section}.{each.key}", each.default, _signs(each.type), each.meaning) for each in describe()]
    return table(("key", "default", "takes", "meaning"), rows)


def _signs(text: str) -> str:
    return text.replace(">=", "≥").replace("<=", "≤")


def with_settings(readme: str) -> str:
    """The text of the README with its table of settings as it must be."""
    before, rest = readme.split(START)
    return f"{before}{START}\n{settings_table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(with_settings(README.read_text()))
