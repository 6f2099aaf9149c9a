"""The account in USD by our own prices: what is held of the universe, what stands outside, what may be invested.

NetLiq = cash at the account's own rates + Σ shares × price + outside holdings at the broker's mark.
Investable = NetLiq − cash buffer − outside holdings. Positions are matched to targets by conId, never by
name: the same ticker on another exchange is another thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.errors import DataRefused, MarketDataMissing
from core.model import (
    CAD,
    USD,
    AccountSnapshot,
    Contract,
    Currency,
    OutsideHolding,
    PlanRules,
    Position,
    Price,
    Quote,
    QuoteRules,
    SecurityType,
    Symbol,
    Targets,
    Untargeted,
    Valuation,
)
from core.money import HUNDRED, ONE, ZERO, Money, plain
from core.quotes import price_of
from core.wording import price_text

Rates = Mapping[Currency, Decimal]


@dataclass(frozen=True, slots=True)
class _Holdings:
    """Positions sorted out: shares by symbol of the universe (alphabetical), and what stands outside."""

    held: Mapping[Symbol, Decimal]
    untargeted: frozenset[Symbol]
    outside: tuple[OutsideHolding, ...]


def value_account(
    snapshot: AccountSnapshot,
    targets: Targets,
    contracts: Mapping[Symbol, Contract],
    quotes: Mapping[Symbol, Quote],
    rules: PlanRules,
    now: datetime,
) -> Valuation:
    """The account as planning sees it at `now`, everything in USD.

    `contracts` covers every target and every held USD ETF. Raises DataRefused for a short ETF, a missing
    exchange rate, a NetLiq too far from the broker's, or nothing to invest; MarketDataMissing naming
    every symbol without a price.
    """
    _refuse_shorts(snapshot.positions)
    holdings = _sort_out(snapshot, targets, contracts, rules.valuation.untargeted)
    prices = _prices(holdings.held, quotes, rules.quotes, now)
    rates = snapshot.rates
    cash = _cash(snapshot)
    in_etfs = sum((shares * prices[symbol].value for symbol, shares in holdings.held.items()), ZERO)
    in_outside = sum((holding.value for holding in holdings.outside), ZERO)
    in_cash = sum((in_usd(amount, currency, rates) for currency, amount in cash.items()), ZERO)
    net_liq = in_cash + in_etfs + in_outside
    broker_net_liq = _usd(snapshot.net_liq, rates)
    marks = _mark_warnings(snapshot.positions, contracts, prices, rules.valuation.max_mark_gap_pct)
    buffer = net_liq * rules.valuation.cash_buffer_pct / HUNDRED
    _refuse_empty(net_liq, buffer, in_outside)
    return Valuation(
        prices=prices,
        held=holdings.held,
        untargeted=holdings.untargeted,
        outside=holdings.outside,
        cash=cash,
        usd_per_cad=in_usd(ONE, CAD, rates) if CAD in rates else None,
        net_liq=net_liq,
        broker_net_liq=broker_net_liq,
        buffer=buffer,
        investable=net_liq - buffer - in_outside,
        gross_position_value=in_etfs + sum((abs(holding.value) for holding in holdings.outside), ZERO),
        excess_liquidity=_usd(snapshot.excess_liquidity, rates),
        maintenance_margin=_usd(snapshot.maintenance_margin, rates),
        buying_power=_usd(snapshot.buying_power, rates),
        warnings=(*marks, *_gap_warnings(net_liq, broker_net_liq, marks, rules.valuation.max_net_liq_gap_pct)),
    )


def _refuse_empty(net_liq: Decimal, buffer: Decimal, in_outside: Decimal) -> None:
    """Raise DataRefused when buffer and outside holdings leave nothing to invest."""
    investable = net_liq - buffer - in_outside
    if investable <= 0:
        raise DataRefused(
            f"nothing to invest: investable value is {investable:.2f} USD"
            f" (NetLiq {net_liq:.2f}, cash buffer {buffer:.2f}, outside holdings {in_outside:.2f})",
            next_step="deposit cash, lower [rebalance] cash_buffer_pct, or sell outside holdings by hand",
        )


def in_usd(amount: Decimal, currency: Currency, rates: Rates) -> Decimal:
    """`amount` of `currency` in USD by the account's own rates (base currency per unit), divided last.

    1 000 CAD of an account based in CAD, where one USD is worth 1.25 CAD, are 800 USD. Nothing of any
    currency is nothing, whatever its rate. Raises DataRefused when a rate is missing or not above 0.
    """
    if currency == USD or not amount:
        return amount
    return amount * _rate(currency, rates) / _rate(USD, rates)


def _usd(money: Money, rates: Rates) -> Decimal:
    return in_usd(money.amount, Currency(money.currency), rates)


def _rate(currency: Currency, rates: Rates) -> Decimal:
    rate = rates.get(currency)
    if rate is None or rate <= 0:
        raise DataRefused(
            f"the account gives no usable exchange rate for {currency} (found: {rate})",
            next_step="look at the account's currencies in TWS, then run again",
        )
    return rate


def _refuse_shorts(positions: Iterable[Position]) -> None:
    """Raise DataRefused naming every ETF held short."""
    shorts = sorted(
        f"{position.contract.symbol} {position.quantity:f}"
        for position in positions
        if position.quantity < 0 and position.contract.security_type is SecurityType.ETF
    )
    if shorts:
        raise DataRefused(
            f"ETFs are held short: {', '.join(shorts)}; this product is long only",
            next_step="buy the short shares back by hand, then run again",
        )


def _sort_out(
    snapshot: AccountSnapshot, targets: Targets, contracts: Mapping[Symbol, Contract], untargeted: Untargeted
) -> _Holdings:
    """Each position either in the universe or outside; balances that show up as positions are cash already."""
    by_con_id = {contracts[symbol].con_id: symbol for symbol in targets.weights}
    held = dict.fromkeys(targets.weights, ZERO)
    outside: list[tuple[Symbol, int, OutsideHolding]] = []
    for position in snapshot.positions:
        contract = position.contract
        if contract.security_type is SecurityType.CASH or not position.quantity:
            continue
        symbol = by_con_id.get(contract.con_id)
        why = None if symbol else _why_outside(contract, contracts, targets, untargeted)
        if why is None:
            symbol = symbol or contract.symbol
            held[symbol] = held.get(symbol, ZERO) + position.quantity
        else:
            if position.market_value is None:
                raise MarketDataMissing(
                    f"the broker gives no value for {contract.symbol}, which is held and stays outside the plan",
                    next_step="run again when the broker values it, or sell it by hand",
                )
            value = in_usd(position.market_value, contract.currency, snapshot.rates)
            holding = OutsideHolding(contract.symbol, position.quantity, value, why)
            outside.append((contract.symbol, contract.con_id, holding))
    outside.sort(key=lambda found: found[:2])
    universe = sorted(held)
    return _Holdings(
        held={symbol: held[symbol] for symbol in universe},
        # made in order: even a set shows the order of its making
        untargeted=frozenset([symbol for symbol in universe if symbol not in targets.weights]),
        outside=tuple(holding for _, _, holding in outside),
    )


def _why_outside(
    contract: Contract, contracts: Mapping[Symbol, Contract], targets: Targets, untargeted: Untargeted
) -> str | None:
    """Why a position that is no target stays untouched, in words; None when it is to be sold."""
    if contract.security_type is not SecurityType.ETF:
        return "not an ETF"
    if contract.currency != USD:
        return f"in {contract.currency}, not in USD"
    known = contracts.get(contract.symbol)
    if contract.symbol in targets.weights or known is None or known.con_id != contract.con_id:
        return "another listing than the one that would be traded"
    return "no target, and [rebalance] untargeted = hold" if untargeted is Untargeted.HOLD else None


def _prices(
    universe: Iterable[Symbol], quotes: Mapping[Symbol, Quote], rules: QuoteRules, now: datetime
) -> Mapping[Symbol, Price]:
    """The price of every symbol by the source chain. Raises MarketDataMissing naming all that have none."""
    prices = {}
    missing = []
    for symbol in universe:
        quote = quotes.get(symbol)
        price = price_of(quote, rules, now) if quote else None
        if price is None:
            missing.append(symbol)
        else:
            prices[symbol] = price
    if missing:
        raise MarketDataMissing(
            f"no usable price for {', '.join(missing)}",
            next_step="check the market data subscriptions, or run again in market hours",
        )
    return prices


def _cash(snapshot: AccountSnapshot) -> Mapping[Currency, Decimal]:
    """The ledger by currency, alphabetical; USD and CAD are always there."""
    currencies = sorted({USD, CAD, *snapshot.cash})
    return {currency: snapshot.cash.get(currency, ZERO) for currency in currencies}


def _mark_warnings(
    positions: Iterable[Position], contracts: Mapping[Symbol, Contract], prices: Mapping[Symbol, Price], most: Decimal
) -> tuple[str, ...]:
    """A warning for each holding of the universe whose price is more than `most` % from the broker's own mark."""
    by_con_id = {contracts[symbol].con_id: symbol for symbol in prices}
    warnings = []
    for position in positions:
        symbol, mark = by_con_id.get(position.contract.con_id), position.market_price
        if symbol is None or not position.quantity or not mark or mark < 0:
            continue
        price = prices[symbol]
        gap = abs(price.value - mark) * HUNDRED
        if gap > most * mark:
            warnings.append(
                f"{symbol}: our price {price_text(price.value)} ({price.source_text}) is {gap / mark:.1f} % from the"
                f" broker's own mark {price_text(mark)}, more than {plain(most)} %: look for a split or an old print"
            )
    return tuple(sorted(warnings))


def _gap_warnings(net_liq: Decimal, broker: Decimal, marks: tuple[str, ...], max_gap_pct: Decimal) -> tuple[str, ...]:
    """A warning when our NetLiq is more than 1 % from the broker's; DataRefused, with `marks`, above `max_gap_pct`."""
    gap = abs(net_liq - broker) * HUNDRED
    if gap <= abs(broker) and gap <= max_gap_pct * abs(broker):
        return ()
    by = f"{gap / abs(broker):.2f} %" if broker else "all of it"
    text = f"our NetLiq {net_liq:.2f} USD and the broker's {broker:.2f} USD are {by} apart"
    if gap > max_gap_pct * abs(broker):
        raise DataRefused(
            "; ".join((f"{text}, more than {plain(max_gap_pct)} %", *marks)),
            next_step="compare prices and positions with TWS; the limit is [safety] max_net_liq_gap_pct",
        )
    return (text,)
