"""portfolios.csv to model weights, or one error with every rule that its rows break."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from core.errors import PortfoliosInvalid
from core.model.funding import FUNDING
from core.model.planning import ModelWeight
from core.model.types import CASH, MODEL_RULE, SYMBOL_RULE, ModelName, Symbol, is_model_name, is_symbol
from core.money import HUNDRED, ZERO, D
from core.settings import RebalanceSection
from core.targets.blending import NO_MARGIN, SUM_TOLERANCE, refused
from core.targets.records import Records, decoded
from core.text import NO_FILE, did_you_mean, visible

Mix = Mapping[ModelName, Decimal]

NEEDED = ("portfolio", "symbol", "target_pct")
IGNORED = ("note", "min_lot", "exchange")
MOST_BYTES = 64_000_000
MOST_ROWS = 100_000
LOOSEST = RebalanceSection(allow_margin=True, max_leverage=Decimal(4))
"""The settings that allow most: for a file whose own settings cannot be read."""

_PERCENT = re.compile(r"(-?(?:[0-9]{1,12}(?:\.[0-9]{0,15})?|\.[0-9]{1,15}))[ \t]*%?")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row as found; `model` and `percent` are None where the text cannot be one."""

    line: int
    portfolio: str
    symbol: str
    target: str
    model: ModelName | None
    percent: Decimal | None

    def __str__(self) -> str:
        found = f"{visible(self.portfolio)} {visible(self.symbol)} target_pct = {visible(self.target)}"
        return f"line {self.line}: {found}"


def read_portfolios(
    path: Path, mix: Mix | None, rebalance: RebalanceSection, *, max_age: timedelta | None, now: datetime
) -> tuple[ModelWeight, ...]:
    """The rows of the file. Raises PortfoliosInvalid with every fault, its age among them when above `max_age`."""
    data, changed_at = _bytes(path)
    stale = []
    if max_age is not None and now - changed_at > max_age:
        allowed = f"[io] max_csv_age_days = {max_age.days}"
        stale = [f"{path} was last changed on {changed_at:%Y-%m-%d}, {(now - changed_at).days} days ago: {allowed}"]
    try:
        weights = parse_portfolios(data, str(path), mix, rebalance)
    except PortfoliosInvalid as error:
        raise refused(str(path), [*stale, *error.faults]) from None
    if stale:
        raise refused(str(path), stale)
    return weights


def parse_portfolios(data: bytes, name: str, mix: Mix | None, rebalance: RebalanceSection) -> tuple[ModelWeight, ...]:
    """The rows of a portfolios file, in its order; lines count from 1, as an editor shows them.

    Raises PortfoliosInvalid with every fault; each names the file (`name`), line, portfolio, symbol and value.
    """
    records = Records(decoded(data, name))
    columns, faults = _columns(records)
    entries, ragged = _entries(records, columns) if columns else ([], [])
    faults += ragged
    for entry in entries:
        faults += [f"{entry}: {fault}" for fault in _entry_faults(entry, mix, rebalance)]
    faults += _repetitions(entries)
    if records.fault:
        faults.append(records.fault)  # the remaining rows were not read, so the sums of whole models are unknown
    elif columns:
        faults += _faults_of_models(entries, mix, rebalance)
    if faults:
        raise refused(name, [f"{name} {fault}" for fault in faults])
    return tuple(_weights(entries))


def _columns(records: Records) -> tuple[list[str], list[str]]:
    """(names of the columns, faults); no names when the rows cannot be read by them."""
    line, cells = next((record for record in records if any(record[1])), (0, []))
    if not cells:
        return [], [] if records.fault else ["contains no header and no rows"]
    names = [cell.lower() if cell.isascii() else cell for cell in cells]
    if not set(names) & set(NEEDED):
        found = visible(",".join(cells))
        return [], [f"line {line}: the header must be {','.join(NEEDED)}, found {found}"]
    known = [*NEEDED, *IGNORED]
    faults = [
        f"line {line}: column {number}, {visible(name)}, is unknown{did_you_mean(name, known)}"
        for number, name in enumerate(names, 1)
        if name and name not in known
    ]
    faults += [f"line {line}: the column {name} appears twice" for name in known if names.count(name) > 1]
    missing = [name for name in NEEDED if name not in names]
    faults += [f"line {line}: the column {name} is missing" for name in missing]
    is_readable = not missing and all(names.count(name) == 1 for name in NEEDED)
    return names if is_readable else [], faults


def _entries(records: Records, columns: Sequence[str]) -> tuple[list[_Entry], list[str]]:
    """(an entry for every row that has all needed values, faults of the other rows)."""
    entries: list[_Entry] = []
    faults: list[str] = []
    least = 1 + max(columns.index(name) for name in NEEDED)
    for line, cells in records:
        if not any(cells):
            continue  # a spreadsheet's empty row: only commas
        if len(entries) == MOST_ROWS:
            records.stop(line, f"more than {MOST_ROWS} rows")
        elif len(cells) < least or any(cells[len(columns) :]):
            found = visible(",".join(cells))
            faults.append(f"line {line}: {found} has {len(cells)} values for {len(columns)} columns")
        elif nameless := [at for at, name in enumerate(columns[: len(cells)]) if cells[at] and not name]:
            at = nameless[0]
            faults.append(f"line {line}: {visible(cells[at])} is in column {at + 1}, which has no name")
        else:
            entries.append(_entry(line, dict(zip(columns, cells, strict=False))))
    return entries, faults


def _entry(line: int, row: Mapping[str, str]) -> _Entry:
    portfolio, symbol, target = (row[name] for name in NEEDED)
    # capitals of some other letters are ASCII (ſ, ı): a look-alike must not become a symbol that way
    portfolio, symbol = (text.upper() if text.isascii() else text for text in (portfolio, symbol))
    number = _PERCENT.fullmatch(target)
    return _Entry(
        line=line,
        portfolio=portfolio,
        symbol=symbol,
        target=target,
        model=ModelName(portfolio) if is_model_name(portfolio) else None,
        # adding zero makes 0 of -0
        percent=D(number[1]) + ZERO if number else None,
    )


def _entry_faults(entry: _Entry, mix: Mix | None, rebalance: RebalanceSection) -> Iterator[str]:
    if mix is not None and entry.model not in mix:
        known = f"the portfolio must be one of [models]: {', '.join(mix)}"
        yield f"{known}{did_you_mean(entry.portfolio, mix)}"
    elif entry.model is None:
        yield f"the portfolio must be {MODEL_RULE}"
    if not is_symbol(entry.symbol):
        yield f"a symbol must be {SYMBOL_RULE}"
    if entry.symbol == FUNDING.symbol:
        yield "the currency pair cannot be a target"
    if entry.percent is None:
        yield "target_pct must be a plain decimal such as 60, 12.5 or 12.5%"
    elif entry.symbol == CASH:
        yield from _cash_faults(entry.percent, rebalance)
    elif entry.percent < 0:
        yield "an asset's target_pct must be >= 0 (0 means: sell it)"


def _cash_faults(percent: Decimal, rebalance: RebalanceSection) -> Iterator[str]:
    if percent > 0:
        yield "CASH must be negative; to keep cash, lower the asset weights instead"
    elif percent == 0:
        yield "CASH must be negative; leave the row out when nothing is borrowed"
    elif not rebalance.allow_margin:
        yield NO_MARGIN


def _repetitions(entries: Iterable[_Entry]) -> Iterator[str]:
    first: dict[tuple[str, str], int] = {}
    for entry in entries:
        line = first.setdefault((entry.portfolio, entry.symbol), entry.line)
        if line != entry.line:
            yield f"{entry}: {visible(entry.symbol)} appears twice in {visible(entry.portfolio)}, first on line {line}"


def _faults_of_models(entries: Iterable[_Entry], mix: Mix | None, rebalance: RebalanceSection) -> Iterator[str]:
    """Faults of the models as a whole, in the order of the mix, or of the file where the mix is unknown."""
    rows: dict[ModelName, list[_Entry]] = {model: [] for model in mix or ()}
    for entry in entries:
        if entry.model is not None and (mix is None or entry.model in mix):
            rows.setdefault(entry.model, []).append(entry)
    for model, own in rows.items():
        if own:
            yield from _sum_faults(model, own, rebalance)
        elif mix and mix[model]:
            advice = f"add rows, or set [models] {model} = 0"
            yield f"{model} has no row, but its mix weight is {mix[model]}: {advice}"


def _sum_faults(model: ModelName, rows: Sequence[_Entry], rebalance: RebalanceSection) -> Iterator[str]:
    """Faults in the sums of a model, only when every value is a number."""
    percents = [row.percent for row in rows if row.percent is not None]
    if len(percents) < len(rows):
        return
    cash = sum((row.percent for row in rows if row.symbol == CASH and row.percent), ZERO)
    total = sum(percents, ZERO)
    first, last = rows[0].line, rows[-1].line
    where = f"line {first}: {model}" if first == last else f"lines {first}-{last}: {model}"
    if abs(total - HUNDRED) > SUM_TOLERANCE:
        found = f"assets {total - cash} + CASH {cash} sum to {total}" if cash else f"the assets sum to {total}"
        yield f"{where}: {found}, must be 100 (±{SUM_TOLERANCE}){_if_rounded(rows, HUNDRED - total)}"
    if cash < 0 and total - cash > rebalance.max_leverage * HUNDRED:
        yield f"{where}: assets of {total - cash} are more than max_leverage {rebalance.max_leverage} × 100"


def _if_rounded(rows: Sequence[_Entry], lacking: Decimal) -> str:
    """Advice for a model whose sum is off by no more than rounding in its rows can explain; else ""."""
    numbers = [row.percent for row in rows if row.percent is not None]
    if abs(lacking) > sum((_half_of_the_last_digit(number) for number in numbers), ZERO):
        return ""
    largest = max(rows, key=lambda row: row.percent or ZERO)
    whole = (largest.percent or ZERO) + lacking
    return (
        f"; rounding may explain the difference: write more decimals,"
        f" or let one row take the remainder, such as {visible(largest.symbol)} {whole}"
    )


def _half_of_the_last_digit(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    return Decimal(5).scaleb(exponent - 1) if isinstance(exponent, int) else ZERO


def _weights(entries: Iterable[_Entry]) -> Iterator[ModelWeight]:
    for entry in entries:
        if entry.model is not None and entry.percent is not None:
            yield ModelWeight(entry.model, Symbol(entry.symbol), entry.percent / HUNDRED, entry.line)


def _bytes(path: Path) -> tuple[bytes, datetime]:
    """(contents, time of the last change). Raises PortfoliosInvalid for a file that cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        changed_at = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    except FileNotFoundError:
        raise refused(str(path), [f"{path}: there is no such file"], NO_FILE) from None
    except IsADirectoryError:
        raise refused(str(path), [f"{path} is a directory, not a portfolios file"]) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise refused(str(path), [f"{path} cannot be read: {error}"]) from None
    if len(data) > MOST_BYTES:
        raise refused(str(path), [f"{path} is larger than {MOST_BYTES // 1_000_000} MB: this is not a portfolios file"])
    return data, changed_at
