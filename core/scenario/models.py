"""What a scenario or market file may hold: pydantic models of the YAML, each of which makes its part of the world."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, ValidationInfo, field_validator

from core.model import USD, AccountId, MarketDataType, Mode, OrderRef, SecurityType, Side
from core.money import ONE, ZERO
from core.scenario.texts import (
    AboveZero,
    Answer,
    BySymbol,
    Cash,
    Cell,
    Confirm,
    CurrencyName,
    Delay,
    FaultPoint,
    Flag,
    Moment,
    Needed,
    NotNegative,
    Number,
    Part,
    SecurityTypeName,
    SymbolName,
    positions_once,
)
from core.sim.venue.world import (
    Change,
    Fault,
    FaultKind,
    FillScript,
    Point,
    SimAccount,
    SimOrder,
    SimPosition,
    SimQuote,
    Values,
    World,
)
from core.yaml_file import Count, FilePart, SettingTexts, Text, one_of

A_SYMBOL = frozenset({"symbol"})  # which may be called NULL
# a symbol may have nothing after it
MAY_BE_EMPTY = ConfigDict(json_schema_extra={"type": ["object", "null"]})


class PositionEntry(FilePart):
    may_be_null = A_SYMBOL

    symbol: SymbolName
    quantity: Needed
    average_cost: NotNegative = ZERO
    security_type: SecurityTypeName = SecurityType.ETF
    currency: CurrencyName = USD

    def position(self) -> SimPosition:
        return SimPosition(**dict(self))


Positions = Annotated[list[PositionEntry], BeforeValidator(positions_once)]


class OrderEntry(FilePart):
    """An order that works before the run begins; without a limit it is a market order."""

    may_be_null = A_SYMBOL

    symbol: SymbolName
    side: Annotated[Side, BeforeValidator(one_of(*Side))]
    quantity: Needed
    filled: NotNegative = ZERO
    limit_price: Number | None = None
    order_ref: Text = ""

    # fields are validated in order, so the quantity is known here, and the fault is reported at `filled`
    @field_validator("filled")
    @classmethod
    def _still_works(cls, filled: Decimal, info: ValidationInfo) -> Decimal:
        quantity = info.data.get("quantity")
        if quantity is not None and filled >= quantity:
            raise ValueError(f"{filled} of {quantity} is not an order that works")
        return filled

    def order(self) -> SimOrder:
        return SimOrder(**dict(self) | {"order_ref": OrderRef(self.order_ref)})


class AccountEntry(FilePart):
    id: Text
    base_currency: CurrencyName = USD
    cash: Cash = {}
    excess_liquidity: Number | None = None
    positions: Positions = []
    open_orders: list[OrderEntry] = []

    def account(self) -> SimAccount:
        return SimAccount(
            id=AccountId(self.id),
            base_currency=self.base_currency,
            cash=self.cash,
            excess_liquidity=self.excess_liquidity,
            positions=tuple(each.position() for each in self.positions),
            open_orders=tuple(each.order() for each in self.open_orders),
        )


class ValuesEntry(FilePart):
    bid: Number | None = None
    ask: Number | None = None
    last: Number | None = None

    def values(self) -> Values:
        return Values(self.bid, self.ask, self.last)


class QuoteEntry(ValuesEntry):
    """What the market shows of a symbol; `snapshot` is what a request for a snapshot gets."""

    model_config = MAY_BE_EMPTY

    age_seconds: Delay = ZERO
    min_tick: AboveZero | None = None
    snapshot: ValuesEntry | None = None
    previous_close: Number | None = None
    data_type: Annotated[MarketDataType, BeforeValidator(one_of(*MarketDataType))] = MarketDataType.LIVE
    halted: Flag = False

    def quote(self) -> SimQuote:
        return SimQuote(
            values=self.values(),
            snapshot=self.snapshot.values() if self.snapshot else None,
            age_seconds=self.age_seconds,
            min_tick=self.min_tick,
            previous_close=self.previous_close,
            data_type=self.data_type,
            is_halted=self.halted,
        )


class FillEntry(FilePart):
    """How orders in a symbol fill; `reject` and `what_if_reject` are codes of the broker."""

    model_config = MAY_BE_EMPTY

    delay_seconds: Delay = ZERO
    fill_fraction: Part = ONE
    price: AboveZero | None = None
    reject: Count | None = None
    what_if_reject: Count | None = None
    what_if_unanswered: Flag = False


class ChangeEntry(FilePart):
    """How account and market change at a point of the run."""

    at: Annotated[Point, BeforeValidator(one_of(Point.APPROVAL, Point.BEFORE_SELLS, Point.BEFORE_BUYS))]
    quotes: BySymbol[QuoteEntry] = {}
    positions: Positions = []
    cash: Cash = {}

    def change(self) -> Change:
        return Change(
            at=self.at,
            quotes={symbol: each.quote() for symbol, each in self.quotes.items()},
            positions=tuple(each.position() for each in self.positions),
            cash=self.cash,
        )


class FaultEntry(FilePart):
    at: FaultPoint
    kind: Annotated[FaultKind, BeforeValidator(one_of(*FaultKind))]
    times: Count = 1


class BehaviourEntry(FilePart):
    fills: BySymbol[FillEntry] = {}
    changes: list[ChangeEntry] = []
    faults: list[FaultEntry] = []


class MarketFile(FilePart):
    """A market to trade at: an account, its quotes and how orders fill."""

    as_of: Moment | None = None
    account: AccountEntry
    quotes: BySymbol[QuoteEntry] = {}
    behaviour: BehaviourEntry = BehaviourEntry()


class ScenarioFile(FilePart):
    """One rehearsed run: what is wanted (either `portfolios` or `targets`), the market it meets, and who answers.

    Faults are reported in this order: what is wanted and when, then the world, then how the run is started.
    """

    portfolios: list[dict[str, Cell]] | None = None
    targets: BySymbol[Needed] | None = None
    as_of: Moment
    account: AccountEntry
    quotes: BySymbol[QuoteEntry] = {}
    behaviour: BehaviourEntry = BehaviourEntry()
    settings: dict[str, SettingTexts] = {}
    name: Text = ""
    mode: Annotated[Mode, BeforeValidator(one_of(*Mode))] = Mode.DRY_RUN
    confirm: Answer = Confirm.NO
    confirm_live: Flag = False


def world_of(file: MarketFile | ScenarioFile, as_of: datetime) -> World:
    """The simulated world of a file at that moment."""
    return World(
        as_of=as_of,
        account=file.account.account(),
        quotes={symbol: each.quote() for symbol, each in file.quotes.items()},
        fills={symbol: FillScript(**dict(each)) for symbol, each in file.behaviour.fills.items()},
        changes=tuple(each.change() for each in file.behaviour.changes),
        faults=tuple(Fault(each.at, each.kind, each.times) for each in file.behaviour.faults),
    )
