"""The account as one value, from the rows of one download; what is not complete is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.broker.errors import lost
from core.broker.ib.messages import HoldingRow, PositionRow, ValueRow
from core.model import AccountId, AccountSnapshot, Contract, Currency, Position, WorkingOrder
from core.money import ZERO, D, Money

BASE = "BASE"  # the broker's row of sums over all currencies
NET_LIQ = "NetLiquidation"
EXCESS = "ExcessLiquidity"
BUYING_POWER = "BuyingPower"
MAINTENANCE = "MaintMarginReq"
CASH = "CashBalance"
RATE = "ExchangeRate"
READY = "AccountReady"
NOT_READY = "the account is not ready at the broker, whose server is resetting (AccountReady is false)"
TOTALS = (NET_LIQ, EXCESS, BUYING_POWER, MAINTENANCE)


@dataclass(frozen=True, slots=True)
class AccountLedger:
    """The figures of one account: totals in its base currency, balances and rates by currency."""

    base: Currency
    totals: Mapping[str, Decimal]
    cash: Mapping[Currency, Decimal]
    rates: Mapping[Currency, Decimal]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held, and the contract of each by conId."""

    rows: tuple[HoldingRow, ...]
    contracts: Mapping[int, Contract]


def is_ready(rows: Iterable[ValueRow]) -> bool:
    """Whether the broker's figures are of use; while its server resets, they are anything."""
    return {row.tag: row.text for row in rows}.get(READY, "").lower() != "false"


def ledger_of(rows: Iterable[ValueRow]) -> AccountLedger:
    """The account's figures, the newest of each. Raises ConnectionLost naming what is missing."""
    values = {(row.tag, row.currency): number for row in rows if (number := _number(row.text)) is not None}
    bases = [currency for tag, currency in values if tag == NET_LIQ and currency not in ("", BASE)]
    if len(bases) != 1:
        raise lost(f"the gateway did not tell {NET_LIQ} in one currency")
    base = Currency(bases[0])
    cash, rates = _by_currency(values, CASH), _by_currency(values, RATE)
    missing = [tag for tag in TOTALS if (tag, base) not in values]
    missing += [f"{CASH} of {currency}" for currency in sorted({base} - set(cash))]
    missing += [f"{RATE} of {currency}" for currency in sorted(set(cash) - set(rates))]
    if missing:
        raise lost(f"the gateway did not tell {', '.join(missing)}")
    return AccountLedger(base, {tag: values[tag, base] for tag in TOTALS}, cash, rates)


def held(rows: Iterable[HoldingRow]) -> tuple[HoldingRow, ...]:
    """The newest row of each holding that is not empty, alphabetical."""
    newest = {row.named.con_id: row for row in rows}
    return tuple(sorted((row for row in newest.values() if row.quantity), key=lambda row: row.named.as_symbol))


def disagreements(holdings: Iterable[HoldingRow], positions: Iterable[PositionRow]) -> list[str]:
    """Where the two lists of what is held tell different quantities: `VTI: 10 and 13`. Currencies are the ledger's."""
    first, second = _quantities(holdings), _quantities(positions)
    both = ((key[0], first.get(key, ZERO), second.get(key, ZERO)) for key in sorted({*first, *second}))
    return [f"{symbol}: {one:f} and {other:f}" for symbol, one, other in both if one != other]


def _quantities(rows: Iterable[HoldingRow | PositionRow]) -> dict[tuple[str, int], Decimal]:
    named = ((row.named, row.quantity) for row in rows if row.named.security_type != "CASH")
    return {(each.as_symbol, each.con_id): quantity for each, quantity in named}


def compose(
    account_id: AccountId, ledger: AccountLedger, holdings: Holdings, working: tuple[WorkingOrder, ...], at: datetime
) -> AccountSnapshot:
    """The snapshot of these parts."""
    return AccountSnapshot(
        account_id=account_id,
        base_currency=ledger.base,
        net_liq=Money(ledger.totals[NET_LIQ], ledger.base),
        excess_liquidity=Money(ledger.totals[EXCESS], ledger.base),
        buying_power=Money(ledger.totals[BUYING_POWER], ledger.base),
        maintenance_margin=Money(ledger.totals[MAINTENANCE], ledger.base),
        cash=ledger.cash,
        rates=ledger.rates,
        positions=tuple(_position(row, holdings.contracts[row.named.con_id]) for row in holdings.rows),
        working_orders=working,
        taken_at=at,
    )


def _position(row: HoldingRow, contract: Contract) -> Position:
    return Position(contract, row.quantity, row.average_cost, row.price, row.value)


def _by_currency(values: Mapping[tuple[str, str], Decimal], wanted: str) -> dict[Currency, Decimal]:
    found = ((currency, number) for (tag, currency), number in values.items() if tag == wanted)
    return {Currency(currency): number for currency, number in found if currency not in ("", BASE)}


def _number(text: str) -> Decimal | None:
    try:
        return D(text)
    except ValueError:
        return None
