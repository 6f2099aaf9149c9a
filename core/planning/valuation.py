"""The account in USD by our own prices: what is held of the universe, what stands outside, what may be invested.

NetLiq = cash at the account's own rates + Σ shares × price + outside holdings at the broker's mark.
Investable = NetLiq − cash buffer − outside holdings. Positions are matched to targets by conId, never by
name: the same ticker on another exchange is another thing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from core.errors import ContractNotFound, DataRefused, MarketDataMissing
from core.market.quotes import Verdict, refusal_texts
from core.model import (
    FUNDING,
    USD,
    AccountSnapshot,
    Contract,
    Currency,
    OutsideHolding,
    Position,
    Price,
    QuoteRefusal,
    SecurityType,
    Symbol,
    Targets,
    Untargeted,
    Valuation,
)
from core.money import HUNDRED, ONE, ZERO, Money, plain
from core.settings import RebalanceSection, Settings
from core.text import price_text

Rates = Mapping[Currency, Decimal]
CASH_BALANCE = SecurityType.CASH


class _Outside(NamedTuple):
    """A position that stays untouched, and why; where it `may_be_zero` it needs no price."""

    position: Position
    why: str
    may_be_zero: bool


@dataclass(frozen=True, slots=True)
class _Holdings:
    """Positions sorted out: shares by symbol of the universe, and what stands outside; both alphabetical.

    `positions` are those of the universe, each with its symbol there.
    """

    held: Mapping[Symbol, Decimal]
    positions: tuple[tuple[Symbol, Position], ...]
    untargeted: frozenset[Symbol]
    outside: tuple[_Outside, ...]


def needs_quote(position: Position, hold_symbols: Collection[Symbol]) -> bool:
    """Whether a holding is valued by its quote: a USD ETF that may trade, or a share without a mark of the broker."""
    contract = position.contract
    is_etf = contract.security_type is SecurityType.ETF and contract.currency == USD
    if is_etf and contract.symbol not in hold_symbols:
        return True
    is_share = contract.security_type in (SecurityType.ETF, SecurityType.STOCK)
    return is_share and bool(position.quantity) and position.market_value is None


def value_account(
    snapshot: AccountSnapshot,
    targets: Targets,
    contracts: Mapping[Symbol, Contract],
    verdicts: Mapping[Symbol, Verdict],
    settings: Settings,
) -> Valuation:
    """The account as planning sees it by the prices of `verdicts`, everything in USD.

    `contracts` covers every target and every holding that needs a quote. Raises DataRefused for a short ETF, a
    missing exchange rate, a NetLiq too far from the broker's, or nothing to invest; MarketDataMissing naming
    every symbol without a price, ContractNotFound where the broker finds no contract for one that is a target.
    """
    _refuse_shorts(snapshot.positions)
    rates, rate_warnings = _rates(snapshot, verdicts.get(FUNDING.symbol), settings)
    holdings = _sort_out(snapshot.positions, targets, contracts, settings.rebalance)
    prices = _prices(holdings.held, verdicts)
    amounts = [(each, _amount(each, verdicts, contracts)) for each in holdings.outside]
    _refuse_unpriced(holdings, prices, amounts, verdicts)
    outside = tuple([_outside_holding(each, amount or ZERO, rates) for each, amount in amounts])
    cash = _cash(snapshot)
    in_etfs = sum([shares * prices[symbol].value for symbol, shares in holdings.held.items()], ZERO)
    in_outside = sum((holding.value for holding in outside), ZERO)
    cash_usd = {currency: in_usd(amount, currency, rates) for currency, amount in cash.items()}
    net_liq = sum(cash_usd.values(), ZERO) + in_etfs + in_outside
    broker_net_liq = _usd(snapshot.net_liq, rates)
    marks = _mark_warnings(holdings.positions, prices, settings.pricing.max_mark_gap_pct)
    buffer = net_liq * settings.rebalance.cash_buffer_pct / HUNDRED
    _refuse_empty(net_liq, buffer, in_outside)
    return Valuation(
        prices=prices,
        held=holdings.held,
        untargeted=holdings.untargeted,
        outside=outside,
        cash=cash,
        usd_per_funding=in_usd(ONE, FUNDING.currency, rates) if FUNDING.currency in rates else None,
        net_liq=net_liq,
        broker_net_liq=broker_net_liq,
        buffer=buffer,
        investable=net_liq - buffer - in_outside,
        gross_position_value=in_etfs + sum((abs(holding.value) for holding in outside), ZERO),
        excess_liquidity=_usd(snapshot.excess_liquidity, rates),
        maintenance_margin=_usd(snapshot.maintenance_margin, rates),
        buying_power=_usd(snapshot.buying_power, rates),
        warnings=(
            *rate_warnings,
            *_worthless(amounts),
            *_not_held(settings.rebalance.hold_symbols, snapshot.positions),
            *marks,
            *_gap_warnings(net_liq, broker_net_liq, marks, settings.safety.max_net_liq_gap_pct),
        ),
        unconverted={each: usd for each, usd in cash_usd.items() if usd and each not in (USD, FUNDING.currency)},
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


def _rates(snapshot: AccountSnapshot, pair: Verdict | None, settings: Settings) -> tuple[Rates, tuple[str, ...]]:
    """The account's own rates, and a warning where the mid of the funding pair stands in for that of USD.

    Raises DataRefused where it would have to, and there is no usable bid and ask or conversion is switched off.
    """
    rates = snapshot.rates
    # the books have no row of a currency that the account never had: it comes with the first conversion
    if USD in rates or snapshot.base_currency != FUNDING.currency:
        return rates, ()
    if not settings.fx.enabled:
        raise _no_rate_for_usd("", f"set [fx] enabled = true, which takes that of {FUNDING.symbol}")
    market = pair.nbbo if pair else None
    if market is None:
        why_not = pair.why_no_nbbo if pair else "no quote"
        raise _no_rate_for_usd(
            f", and {FUNDING.symbol} has none: {why_not}", f"run again when {FUNDING.symbol} is quoted"
        )
    rate = price_text(market.mid)
    warning = f"the account's books have no rate for {USD} yet: {FUNDING.symbol} at its mid {rate} is used"
    return {**rates, USD: market.mid}, (warning,)


def _no_rate_for_usd(why: str, remedy: str) -> DataRefused:
    by_hand = f"convert a few {FUNDING.currency} to {USD} by hand once, then run again"
    return DataRefused(
        f"the account reports no usable exchange rate for {USD}{why}", next_step=f"{remedy}, or {by_hand}"
    )


def _usd(money: Money, rates: Rates) -> Decimal:
    return in_usd(money.amount, Currency(money.currency), rates)


def _rate(currency: Currency, rates: Rates) -> Decimal:
    rate = rates.get(currency)
    if rate is None or rate <= 0:
        raise DataRefused(
            f"the account reports no usable exchange rate for {currency} (found: {rate})",
            next_step="look at the account's currencies in TWS, then run again",
        )
    return rate


def _refuse_shorts(positions: Iterable[Position]) -> None:
    """Raise DataRefused naming every ETF held short."""
    shorts = sorted(
        f"{position.contract.symbol} {position.quantity:f}"
        for position in positions
        if position.quantity < ZERO and position.contract.security_type is SecurityType.ETF
    )
    if shorts:
        raise DataRefused(
            f"ETFs are held short: {', '.join(shorts)}; this tool is long-only",
            next_step="buy the short shares back by hand, then run again",
        )


def _sort_out(
    positions: Iterable[Position], targets: Targets, contracts: Mapping[Symbol, Contract], rebalance: RebalanceSection
) -> _Holdings:
    """Each position either in the universe or outside; balances that show up as positions are cash already."""
    # a ticker is not an identity: the same one on another exchange is another fund
    by_con_id = {contracts[symbol].con_id: symbol for symbol in targets.weights}
    held = dict.fromkeys(targets.weights, ZERO)
    inside: list[tuple[Symbol, Position]] = []
    outside: list[_Outside] = []
    for position in positions:
        contract = position.contract
        # IBKR lists currency balances as positions too (FX virtual positions); the ledger has them already
        if contract.security_type is CASH_BALANCE or not position.quantity:
            continue
        symbol = by_con_id.get(contract.con_id)
        why = None if symbol else _why_outside(contract, contracts, targets, rebalance)
        if why is None:
            symbol = symbol or contract.symbol
            already = held.get(symbol)
            held[symbol] = already + position.quantity if already else position.quantity
            inside.append((symbol, position))
        else:
            outside.append(_Outside(position, why, contract.symbol in rebalance.hold_symbols))
    outside.sort(key=lambda each: (each.position.contract.symbol, each.position.contract.con_id))
    universe = sorted(held)
    return _Holdings(
        held={symbol: held[symbol] for symbol in universe},
        positions=tuple(inside),
        # made in order: even a set shows the order of its making
        untargeted=frozenset([symbol for symbol in universe if symbol not in targets.weights]),
        outside=tuple(outside),
    )


def _outside_holding(each: _Outside, amount: Decimal, rates: Rates) -> OutsideHolding:
    contract = each.position.contract
    value = in_usd(amount, contract.currency, rates)
    return OutsideHolding(contract.symbol, each.position.quantity, value, each.why)


def _why_outside(
    contract: Contract, contracts: Mapping[Symbol, Contract], targets: Targets, rebalance: RebalanceSection
) -> str | None:
    """Why a position that is no target stays untouched, as text; None when it is to be sold."""
    if contract.symbol in rebalance.hold_symbols:
        return "in [rebalance] hold_symbols"
    if contract.security_type is not SecurityType.ETF:
        return "not an ETF"
    if contract.currency != USD:
        return f"in {contract.currency}, not in USD"
    known = contracts.get(contract.symbol)
    if contract.symbol in targets.weights or known is None or known.con_id != contract.con_id:
        return "a different listing from the one that would be traded"
    return "no target, and [rebalance] untargeted = hold" if rebalance.untargeted is Untargeted.HOLD else None


def _prices(universe: Iterable[Symbol], verdicts: Mapping[Symbol, Verdict]) -> Mapping[Symbol, Price]:
    """The price of each symbol of the universe that has one."""
    return {
        symbol: verdict.price for symbol in universe if (verdict := verdicts.get(symbol)) is not None and verdict.price
    }


def _amount(
    holding: _Outside, verdicts: Mapping[Symbol, Verdict], contracts: Mapping[Symbol, Contract]
) -> Decimal | None:
    """What an outside holding is worth in its own currency, by the broker's mark, else by its quote, else None.

    A mark of 0 is no price of what need not have one: it then counts as 0 all the same, but with a warning.
    """
    position = holding.position
    if position.market_value or (position.market_value is not None and not holding.may_be_zero):
        return position.market_value
    quoted = contracts.get(position.contract.symbol)
    is_quoted = quoted is not None and quoted.con_id == position.contract.con_id
    verdict = verdicts.get(position.contract.symbol) if is_quoted else None
    return position.quantity * verdict.price.value if verdict and verdict.price else None


def _refuse_unpriced(
    holdings: _Holdings,
    prices: Mapping[Symbol, Price],
    amounts: Iterable[tuple[_Outside, Decimal | None]],
    verdicts: Mapping[Symbol, Verdict],
) -> None:
    """Raise an error naming every symbol that must be valued and has no price, with the broker's reasons.

    It is MarketDataMissing; or ContractNotFound for a target that the broker finds no contract for.
    """
    outside = [each.position.contract.symbol for each, amount in amounts if amount is None and not each.may_be_zero]
    missing = [symbol for symbol in holdings.held if symbol not in prices]
    if not missing and not outside:
        return
    targets = [symbol for symbol in missing if symbol not in holdings.untargeted]
    left_over = [*(symbol for symbol in missing if symbol in holdings.untargeted), *outside]
    quotes = [verdicts[symbol].quote for symbol in (*missing, *outside) if symbol in verdicts]
    refusals = {quote.symbol: quote.refusal for quote in quotes if quote.refusal}
    is_unknown = any(refusals[symbol].is_unknown for symbol in targets if symbol in refusals)
    error = ContractNotFound if is_unknown else MarketDataMissing
    raise error(
        f"no usable price for {', '.join([*missing, *outside])}",
        next_step=_how_to_price(targets, left_over, refusals),
        faults=refusal_texts(quotes),
    )


def _how_to_price(
    targets: Collection[Symbol], left_over: Collection[Symbol], refusals: Mapping[Symbol, QuoteRefusal]
) -> str:
    """What to do about symbols without a price: `targets`, and what is held without being one, `left_over`."""
    market = "check the market data subscriptions, or run again in market hours"
    steps = [refusals[symbol].next_step if symbol in refusals else market for symbol in (*targets, *left_over)]
    price = "; ".join(dict.fromkeys(steps))
    if not left_over:
        return price
    at = "at the broker's mark or else at 0"
    hold = f"[rebalance] hold_symbols = {', '.join(left_over)} leaves alone, {at}, what no longer trades"
    # without its targets a run does not go on, whatever is held
    return f"{price}; {hold}" if targets else f"{hold}; else {price}"


def _worthless(amounts: Iterable[tuple[_Outside, Decimal | None]]) -> tuple[str, ...]:
    return tuple(
        f"{each.position.contract.symbol}: {each.position.quantity:,f} held in [rebalance] hold_symbols have no price"
        " anywhere and count as 0"
        for each, amount in amounts
        if amount is None
    )


def _not_held(hold_symbols: Iterable[Symbol], positions: Iterable[Position]) -> tuple[str, ...]:
    """A warning for names that keep nothing from being sold: one may be written wrong."""
    unknown = sorted(set(hold_symbols) - {position.contract.symbol for position in positions})
    if not unknown:
        return ()
    return (
        f"[rebalance] hold_symbols names what is not held: {', '.join(unknown)}; is it written as the broker has it?",
    )


def _cash(snapshot: AccountSnapshot) -> Mapping[Currency, Decimal]:
    """The ledger by currency, alphabetical; USD and CAD are always there."""
    # both are always there, so that nobody after this has to ask
    currencies = sorted({USD, FUNDING.currency, *snapshot.cash})
    return {currency: snapshot.cash.get(currency, ZERO) for currency in currencies}


def _mark_warnings(
    positions: Iterable[tuple[Symbol, Position]], prices: Mapping[Symbol, Price], most_pct: Decimal
) -> tuple[str, ...]:
    """A warning for each holding of the universe whose price is more than `most_pct` % from the broker's own mark."""
    warnings, most = [], most_pct / HUNDRED
    for symbol, position in positions:
        mark = position.market_price
        if mark is None or mark <= ZERO:
            continue
        price = prices[symbol]
        gap = abs(price.value - mark)
        if gap > most * mark:
            warnings.append(
                f"{symbol}: our price {price_text(price.value)} ({price.source_text}) is"
                f" {gap * HUNDRED / mark:.1f} % from the broker's own mark {price_text(mark)}, more than"
                f" {plain(most_pct)} %: look for a split or an old print"
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
