"""The account's ledger: cash by currency and positions, and the figures that the broker derives from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from core.model import CAD, USD, USD_CAD, Contract, Currency, Fill, Position, SecurityType, Side, Symbol
from core.money import ONE, ZERO
from core.sim.venue.matching import mark, rate_of
from core.sim.venue.world import SimPosition, SimQuote, World

NOT_QUOTED = SimQuote()


@dataclass(frozen=True, slots=True)
class Figures:
    """Account values in the base currency."""

    net_liq: Decimal
    maintenance_margin: Decimal
    excess_liquidity: Decimal


class Ledger:
    """Cash and positions, changed by fills, fees and corrections; `audit` checks each balance against its movements."""

    def __init__(self, world: World) -> None:
        self._world = world
        account = world.account
        self.cash: dict[Currency, Decimal] = {USD: ZERO, CAD: ZERO} | dict(account.cash)
        self.positions: dict[Symbol, SimPosition] = {held.symbol: held for held in account.positions if held.quantity}
        self._moved_cash: list[tuple[Currency, Decimal]] = list(self.cash.items())
        self._moved_shares: list[tuple[Symbol, Decimal]] = [
            (key, held.quantity) for key, held in self.positions.items()
        ]
        # every order that arrives values all holdings: marks are kept as long as the quote is the same one
        self._marks: dict[Symbol, tuple[SimQuote, Decimal | None]] = {}
        self._extra_liquidity = ZERO
        if account.excess_liquidity is not None:
            self._extra_liquidity = account.excess_liquidity - self.figures(world.quotes).excess_liquidity

    def held(self, symbol: Symbol) -> Decimal:
        """Shares of the symbol, 0 when there are none."""
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    def fill(self, contract: Contract, side: Side, shares: Decimal, price: Decimal) -> None:
        """Exchange shares for cash; a BUY of a pair gets its first currency for the contract's own.

        BUY 100 USD.CAD at 1.36: USD +100, CAD −136.
        """
        signed = shares if side is Side.BUY else -shares
        self._pay(contract.currency, -signed * price)
        if contract.security_type is SecurityType.CASH:
            self._pay(_first_of(contract), signed)
        else:
            self._add_shares(contract, signed, price)

    def correct(self, contract: Contract, old: Fill, new: Fill) -> None:
        """Replace the effect of `old` by that of `new`; the average cost stays as it was."""
        sign = 1 if new.side is Side.BUY else -1
        signed = sign * (new.shares - old.shares)
        self._pay(contract.currency, sign * (old.shares * old.price - new.shares * new.price))
        if contract.security_type is SecurityType.CASH:
            self._pay(_first_of(contract), signed)
        else:
            self._moved_shares.append((contract.symbol, signed))
            held = self._position(contract, new.price)
            self._hold(replace(held, quantity=held.quantity + signed))

    def charge(self, amount: Decimal) -> None:
        """Take a fee in USD."""
        self._pay(USD, -amount)

    def set_cash(self, currency: Currency, amount: Decimal) -> None:
        """Set the balance to `amount`, as a deposit or a withdrawal would."""
        self._pay(currency, amount - self.cash.get(currency, ZERO))

    def set_position(self, position: SimPosition) -> None:
        """Set the position, as a transfer would; no cash moves."""
        self._moved_shares.append((position.symbol, position.quantity - self.held(position.symbol)))
        self._hold(position)

    def figures(self, quotes: Mapping[Symbol, SimQuote]) -> Figures:
        """NetLiq = cash + positions at their marks; excess = NetLiq − margin, plus what the world adds."""
        rates = self.rates(quotes)
        values = [self.market_price(held, quotes) * held.quantity * rates[held.currency] for held in self._holdings()]
        cash = sum((amount * rates[currency] for currency, amount in self.cash.items()), ZERO)
        net_liq = cash + sum(values, ZERO)
        margin = sum((abs(value) for value in values), ZERO) * self._world.margin_rate
        return Figures(net_liq, margin, net_liq - margin + self._extra_liquidity)

    def listed_cash(self) -> dict[Currency, Decimal]:
        """The balances that the broker lists: of USD none in a CAD account without any, as `SimAccount` says."""
        account = self._world.account
        named = {account.base_currency, CAD, *account.cash, *(held.currency for held in self.positions.values())}
        return {currency: amount for currency, amount in self.cash.items() if amount or currency in named}

    def rates(self, quotes: Mapping[Symbol, SimQuote]) -> dict[Currency, Decimal]:
        """What one unit of each currency is worth in the base currency."""
        cad_per_usd = rate_of(quotes.get(USD_CAD, SimQuote())) or self._world.book_rate
        if self._world.account.base_currency == USD:
            return {USD: ONE, CAD: ONE / cad_per_usd}
        return {USD: cad_per_usd, CAD: ONE}

    def market_price(self, held: SimPosition, quotes: Mapping[Symbol, SimQuote]) -> Decimal:
        """The price of a share in the broker's own figures: its mark, 0 without one."""
        return self._mark(held, quotes) or ZERO

    def _mark(self, held: SimPosition, quotes: Mapping[Symbol, SimQuote]) -> Decimal | None:
        """The broker's mark: none of a USD ETF without a price; the cost of anything else, which need not be quoted."""
        is_quoted = held.security_type is SecurityType.ETF and held.currency == USD
        quote = quotes.get(held.symbol, NOT_QUOTED)
        known = self._marks.get(held.symbol)
        if known is None or known[0] is not quote:
            known = self._marks[held.symbol] = quote, mark(quote)
        return known[1] or (None if is_quoted else held.average_cost)

    def listed(self, contracts: Mapping[Symbol, Contract], quotes: Mapping[Symbol, SimQuote]) -> tuple[Position, ...]:
        """The positions as the broker reports them, alphabetical."""
        return tuple(
            Position(
                contract=contracts[held.symbol],
                quantity=held.quantity,
                average_cost=held.average_cost,
                market_price=(price := self._mark(held, quotes)),
                market_value=None if price is None else price * held.quantity,
            )
            for _, held in sorted(self.positions.items())
        )

    def audit(self) -> None:
        """Raises ArithmeticError unless every balance is the sum of its movements."""
        for currency, amount in self.cash.items():
            total = sum((moved for key, moved in self._moved_cash if key == currency), ZERO)
            if total != amount:
                raise ArithmeticError(f"{currency} is {amount}, its movements sum to {total}")
        for symbol in {key for key, _ in self._moved_shares} | set(self.positions):
            total = sum((moved for key, moved in self._moved_shares if key == symbol), ZERO)
            if total != self.held(symbol):
                raise ArithmeticError(f"{symbol} is {self.held(symbol)}, its movements sum to {total}")

    def _holdings(self) -> list[SimPosition]:
        # a currency shown as a position is cash, counted there already
        return [held for held in self.positions.values() if held.security_type is not SecurityType.CASH]

    def _pay(self, currency: Currency, amount: Decimal) -> None:
        self.cash[currency] = self.cash.get(currency, ZERO) + amount
        self._moved_cash.append((currency, amount))

    def _add_shares(self, contract: Contract, signed: Decimal, price: Decimal) -> None:
        self._moved_shares.append((contract.symbol, signed))
        old = self._position(contract, price)
        quantity = old.quantity + signed
        cost = old.average_cost
        # selling leaves the average cost as it is, as in IBKR's own average-cost figure
        if signed > 0 and quantity:
            cost = (old.quantity * old.average_cost + signed * price) / quantity
        self._hold(replace(old, quantity=quantity, average_cost=cost))

    def _position(self, contract: Contract, price: Decimal) -> SimPosition:
        """The position in the contract; one of 0 shares at this price where there is none."""
        new = SimPosition(contract.symbol, ZERO, price, contract.security_type, contract.currency)
        return self.positions.get(contract.symbol, new)

    def _hold(self, position: SimPosition) -> None:
        if position.quantity:
            self.positions[position.symbol] = position
        else:
            self.positions.pop(position.symbol, None)


def _first_of(pair: Contract) -> Currency:
    return Currency(pair.symbol.partition(".")[0])
