"""Reading the account and the market from a broker: after a lost connection or a pacing violation a read is repeated.

Waiting between tries is venue time, so a rehearsal takes no time over it. Only reads are here; sending an order is
never repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from core.broker.port import Broker
from core.errors import TRANSIENT, BrokerError, ConnectionRefused, MarketDataMissing, PacingExceeded
from core.market.quotes import completed, judge, refusal_texts
from core.model import (
    FUNDING,
    AccountId,
    AccountSnapshot,
    Contract,
    MarginEffect,
    MarketDataType,
    Order,
    Quote,
    Symbol,
    Targets,
)
from core.planning.valuation import needs_quote
from core.settings import Settings

T = TypeVar("T")

FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0
REFUSED_TRIES = 5  # 15 s in all: a gateway that accepts no connection by then is not merely starting


@dataclass(frozen=True, slots=True)
class QuotesTaken:
    """A quote of every contract that was requested, and warnings about them (shown in red)."""

    quotes: Mapping[Symbol, Quote]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a read is tried that met one of `errors`: after 1, 2, 4 … seconds, at most 30."""

    attempts: int
    sleep: Callable[[float], Awaitable[None]]
    on_retry: Callable[[str], None]
    errors: tuple[type[BrokerError], ...] = TRANSIENT

    async def read(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns. Out of tries, its last error is raised with `what` and the number of tries in it."""
        retrying = AsyncRetrying(
            # the broker's sleep, not asyncio's: in a rehearsal time passes without waiting
            sleep=self.sleep,
            stop=lambda state: state.attempt_number >= self._tries(state),
            wait=wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            retry=retry_if_exception_type(self.errors),
            before_sleep=lambda state: self.on_retry(_why_waiting(what, state, self._tries(state))),
            reraise=True,
        )

        async def once() -> T:  # tenacity awaits only what it recognizes as a coroutine function
            return await call()

        try:
            return await retrying(once)
        except self.errors as error:
            raise _out_of_tries(error, what, retrying.statistics["attempt_number"]) from error

    def _tries(self, state: RetryCallState) -> int:
        is_refused = state.outcome is not None and isinstance(state.outcome.exception(), ConnectionRefused)
        return min(self.attempts, REFUSED_TRIES) if is_refused else self.attempts


class Reader:
    """Reads from `broker`, each tried up to `attempts` times; `on_retry` gets a message before each wait.

    Only ConnectionLost (the connection is opened again first) and PacingExceeded are tried again, after 1, 2,
    4 … seconds, at most 30; an address where nothing listens for 15 s at most. Out of tries, the last
    error is raised with the number of tries in it.
    """

    def __init__(self, broker: Broker, attempts: int, on_retry: Callable[[str], None]) -> None:
        self._broker = broker
        self._attempts = attempts
        self._on_retry = on_retry
        self._may_connect = True

    @contextmanager
    def single_attempt(self) -> Iterator[None]:
        """Within the block nothing is tried again: the caller has waited already."""
        attempts, self._attempts = self._attempts, 1
        try:
            yield
        finally:
            self._attempts = attempts

    @contextmanager
    def on_this_connection(self) -> Iterator[None]:
        """Within the block a lost connection is not opened again, for orders work: reconciling them comes first."""
        self._may_connect = False
        try:
            yield
        finally:
            self._may_connect = True

    def now(self) -> datetime:
        """The broker's time."""
        return self._broker.now()

    async def connect(self) -> None:
        """Open the connection; nothing when it is open. Raises ConnectionLost."""
        await self.read("connecting", _nothing)

    async def accounts(self) -> tuple[AccountId, ...]:
        """The accounts that this gateway manages."""
        return await self.read("reading the managed accounts", self._broker.accounts)

    async def take_snapshot(self) -> AccountSnapshot:
        """The account, complete at one moment."""
        return await self.read("reading the account", self._broker.snapshot)

    async def resolve(self, symbols: Sequence[Symbol], overrides: Mapping[Symbol, str]) -> Mapping[Symbol, Contract]:
        """The contract of each symbol. Raises ContractNotFound naming every one that is unknown or ambiguous."""
        return await self.read("resolving contracts", lambda: self._broker.resolve(symbols, overrides))

    async def resolve_universe(
        self, targets: Targets, snapshot: AccountSnapshot, settings: Settings
    ) -> Mapping[Symbol, Contract]:
        """The contract of every target, of every holding that needs a quote, and USD.CAD where conversion is on.

        Raises ContractNotFound naming every target that is unknown or ambiguous.
        """
        wanted = [*targets.weights, *([FUNDING.symbol] if settings.fx.enabled else [])]
        found = dict(await self.resolve(wanted, settings.symbol_overrides))
        for position in snapshot.positions:
            if needs_quote(position, settings.rebalance.hold_symbols):
                found.setdefault(position.contract.symbol, position.contract)
        return found

    async def take_quotes(
        self, contracts: Sequence[Contract], settings: Settings, *, refuse_not_live: bool
    ) -> QuotesTaken:
        """A quote of each contract, as fresh and as complete as a second request can make it.

        A quote that is stale, one-sided or missing is requested once more. What then has no price or no
        usable bid and ask is requested as a snapshot, if the settings allow that; a quote that grew stale over it
        is requested once more as well. A symbol without any value keeps its empty quote: planning decides whether
        that is needed. Data that the broker refuses is a warning in its words, and is not requested again. Quotes that
        are not live are a warning, or raise MarketDataMissing with `refuse_not_live`.
        A gateway sends live data unless another kind is requested, anew on every connection (reqMarketDataType).
        """
        # reqMarketDataType is per connection and sends no answer; the type arrives with each quote
        wanted = settings.ibkr.market_data_type
        if wanted is not MarketDataType.LIVE:
            await self.read("selecting the market data type", lambda: self._broker.market_data_type(wanted))
        quotes = await self._request(contracts)
        requested_twice = await self._request_again(quotes, contracts, settings)
        if settings.pricing.fallback_to_snapshot:
            now = self._broker.now()
            incomplete = [each for each in contracts if judge(quotes[each.symbol], settings, now).needs_snapshot]
            for symbol, snapshot in (await self._request(incomplete, is_snapshot=True)).items():
                quotes[symbol] = completed(quotes[symbol], snapshot, settings)
            # a snapshot may take longer than a quote stays fresh
            await self._request_again(
                quotes, [each for each in contracts if each.symbol not in requested_twice], settings
            )
        refused = [f"the broker sends no market data of {text}" for text in refusal_texts(quotes.values())]
        return QuotesTaken(quotes, (*refused, *_check_live(quotes, refuse_not_live=refuse_not_live)))

    async def what_if(self, order: Order) -> MarginEffect:
        """What the order would do to the margin. Raises the BrokerError it would be rejected with; places nothing."""
        what = f"requesting the margin effect of {order.side} {order.contract.symbol}"
        return await self.read(what, lambda: self._broker.what_if(order))

    async def read(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """What `call` returns, connected; `what` names the read in messages. Raises as `call` does."""
        again = TRANSIENT if self._may_connect else (PacingExceeded,)
        patience = RetryPolicy(self._attempts, self._broker.sleep, self._on_retry, again)
        return await patience.read(what, lambda: self._connected(call))

    async def _connected(self, call: Callable[[], Awaitable[T]]) -> T:
        # the connection may be lost between two reads of a step; each read opens it again by itself
        if not self._broker.is_connected and self._may_connect:
            await self._broker.connect()
        return await call()

    async def _request_again(
        self, quotes: dict[Symbol, Quote], contracts: Sequence[Contract], settings: Settings
    ) -> frozenset[Symbol]:
        """Replace those of `quotes` that need a second request by its answers; the symbols requested again."""
        now = self._broker.now()
        unusable = [each for each in contracts if judge(quotes[each.symbol], settings, now).needs_another_look]
        for symbol, again in (await self._request(unusable)).items():
            quotes[symbol] = again if again.refusal or _has_prices(again) else quotes[symbol]
        return frozenset(each.symbol for each in unusable)

    async def _request(self, contracts: Sequence[Contract], *, is_snapshot: bool = False) -> dict[Symbol, Quote]:
        if not contracts:
            return {}
        what = "requesting snapshots" if is_snapshot else "requesting quotes"
        return dict(await self.read(what, lambda: self._broker.quotes(contracts, is_snapshot=is_snapshot)))


async def _nothing() -> None:
    """No request at all: being connected is all that is needed."""


def _has_prices(quote: Quote) -> bool:
    return any(value is not None and value > 0 for value in (quote.bid, quote.ask, quote.last))


def _check_live(quotes: Mapping[Symbol, Quote], *, refuse_not_live: bool) -> tuple[str, ...]:
    not_live = {
        symbol: quote.data_type for symbol, quote in quotes.items() if quote.data_type is not MarketDataType.LIVE
    }
    if not not_live:
        return ()
    kinds = ", ".join(sorted({kind.value.replace("_", " ") for kind in not_live.values()}))
    text = f"quotes are not live but {kinds}: {', '.join(sorted(not_live))}"
    if refuse_not_live:
        raise MarketDataMissing(text, next_step="subscribe to live market data for this account; live trading needs it")
    return (text,)


def _why_waiting(what: str, state: RetryCallState, attempts: int) -> str:
    error = state.outcome.exception() if state.outcome else None
    message = error.message if isinstance(error, BrokerError) else error
    return f"{what}: {message}; try {state.attempt_number + 1} of {attempts} in {state.upcoming_sleep:g} s"


def _out_of_tries(error: BrokerError, what: str, attempts: int) -> BrokerError:
    tries = f" ({attempts} tries)" if attempts > 1 else ""
    return type(error)(f"{what}: {error.message}{tries}", next_step=error.next_step)
