"""Random accounts and markets in which nothing goes wrong: every order that is sent fills in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from campaign.chance import Chance
from core.model import CAD, CASH, USD, USD_CAD, AccountId, Currency, Mode, SecurityType, Symbol
from core.money import ONE, ZERO, D, floor_to
from core.scenario import Confirm, Scenario
from core.sim.venue.world import FillScript, SimAccount, SimPosition, SimQuote, Values, World

AS_OF = datetime.fromisoformat("2026-03-02T10:00:00-05:00")  # a Monday morning
ACCOUNT = AccountId("DU1234567")
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
ODD_NAMES = ("ON", "NO", "BRK B", "T", "1SHR", "VTI.U", "NULL", "Y")


@dataclass(slots=True)
class Draft:
    """A case while it is made; `size` is roughly the account's value in USD."""

    chance: Chance
    size: Decimal = ZERO
    prices: dict[Symbol, Decimal] = field(default_factory=dict)
    quotes: dict[Symbol, SimQuote] = field(default_factory=dict)
    targets: dict[Symbol, Decimal] = field(default_factory=dict)
    positions: list[SimPosition] = field(default_factory=list)
    cash: dict[Currency, Decimal] = field(default_factory=dict)
    fills: dict[Symbol, FillScript] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)

    def set(self, section: str, **values: object) -> None:
        texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}
        self.settings.setdefault(section, {}).update(texts)

    def is_set(self, section: str, key: str) -> bool:
        return self.settings.get(section, {}).get(key) == "true"


def random_account(seed: str, most_symbols: int = 25) -> Scenario:
    """An account, its market, its targets and its settings."""
    draft = Draft(Chance(seed))
    draft.size = draft.chance.scale(3_000, 3_000_000)
    _rules(draft)
    _money_rules(draft)
    _pricing(draft)
    _market(draft, most_symbols)
    _targets(draft)
    _holdings(draft)
    _cash(draft)
    return _scenario(draft, seed)


def _rules(draft: Draft) -> None:
    chance = draft.chance
    least = chance.one_of(0, 0, 50, 500, 2000)
    draft.set(
        "rebalance",
        min_order_usd=least,
        trigger_mode=chance.one_of("per_holding", "per_holding", "total_drift"),
        per_holding_band_bps=chance.one_of(0, 10, 50, 200),
        portfolio_total_band_bps=chance.one_of(0, 100, 300),
        direction=chance.one_of("both", "both", "both", "both", "buy_only", "sell_only"),
        untargeted=chance.one_of("sell", "sell", "hold"),
        allow_fractional=chance.happens(25),
    )
    if chance.happens(25):
        draft.set("rebalance", max_order_usd=least + int(draft.size * chance.number("0.02", "0.3")) + 1)
    if chance.happens(15):
        draft.set("rebalance", max_turnover_pct=chance.one_of(10, 50, 100, 200))
    draft.set("execution", max_open_orders=chance.one_of(1, 2, 5, 10))


def _money_rules(draft: Draft) -> None:
    chance = draft.chance
    draft.set(
        "rebalance",
        cash_buffer_pct=chance.one_of("0", "1.0", "1.0", "5", "20"),
        commission_per_order_usd=chance.one_of("0", "1.00", "2.50"),
        allow_margin=chance.happens(30),
        max_leverage=chance.one_of("1.2", "1.50", "2"),
        # never 0: costs are not counted against it, and the broker would refuse the last order
        maintenance_buffer_pct=chance.one_of(5, 10, 25),
        maintenance_margin_pct=chance.one_of(25, 30),
    )
    if chance.happens(50):
        draft.set(
            "fx",
            enabled=True,
            convert_mode=chance.one_of("just_in_time", "always_top_up"),
            use_mid_for_planning=chance.happens(50),
            min_fx_order_usd=chance.one_of(0, 100, 1000),
            fx_buffer_bps=chance.one_of(0, 20, 100),
            order_type=chance.one_of("MKT", "LMT"),
            limit_slippage_bps=chance.one_of(0, 5, 20),
        )
        if chance.happens(20):
            draft.set("fx", max_fx_order_usd=1001 + int(draft.size * chance.number("0.05", "0.5")))


def _pricing(draft: Draft) -> None:
    chance = draft.chance
    draft.set("pricing", price_source=chance.one_of("last", "last", "midpoint", "bidask"))
    draft.set("rebalance", order_type=chance.one_of("LMT", "LMT", "LMT", "MKT"))
    draft.set(
        "limits",
        smart_limit=chance.happens(85),
        style=chance.one_of("spread_aware", "spread_aware", "static_bps", "off"),
        buy_offset_frac=chance.one_of("0", "0.25", "0.5", "1"),
        sell_offset_frac=chance.one_of("0", "0.25", "0.5", "1"),
        max_offset_bps=chance.one_of("0", "10", "50"),
        wide_spread_bps=chance.one_of("5", "50"),
        escalate_action=chance.one_of("cross", "market", "keep"),
        use_ask_bid_cap=chance.happens(80),
    )


def _market(draft: Draft, most_symbols: int) -> None:
    for symbol in _names(draft.chance, draft.chance.whole(1, most_symbols)):
        _quote(draft, symbol)
    rate = draft.chance.number("1.20", "1.45", 4)
    draft.quotes[USD_CAD] = SimQuote(Values(rate, rate + D("0.00005") * draft.chance.whole(1, 4), rate))


def _names(chance: Chance, count: int) -> list[Symbol]:
    names = dict.fromkeys(chance.some(ODD_NAMES, chance.whole(0, 2)))
    while len(names) < count:
        names["".join(chance.one_of(*LETTERS) for _ in range(chance.whole(2, 5)))] = None
    return [Symbol(name) for name in list(names)[:count]]


def _quote(draft: Draft, symbol: Symbol) -> None:
    """A two-sided market on the tick grid; the last trade lies inside it, or a little off, or is missing.

    Whatever the limit price, orders fill: at the touch where it reaches that, else at the limit.
    """
    chance = draft.chance
    price = chance.scale(300, 90_000) / 100
    tick = chance.one_of(D("0.01"), D("0.01"), D("0.01"), D("0.05"), D("0.0001"))
    bid = floor_to(price, tick)
    ask = bid + max(tick, floor_to(bid * chance.whole(1, 60) / 10_000, tick))
    last = chance.one_of(bid, ask, bid + floor_to((ask - bid) / 2, tick), floor_to(ask * D("1.002"), tick), None)
    is_whole = chance.happens(20)
    draft.prices[symbol] = bid
    draft.quotes[symbol] = SimQuote(Values(bid, ask, last), min_tick=tick, is_fractional=not is_whole)
    draft.fills[symbol] = FillScript(delay_seconds=D(chance.one_of(0, 0, 0, 2, 20)))


def _targets(draft: Draft) -> None:
    """Weights of most symbols, some of them 0; they borrow, use all, or leave a remainder in cash."""
    chance, symbols = draft.chance, list(draft.prices)
    wanted = chance.some(symbols, chance.whole(max(1, len(symbols) * 3 // 4), len(symbols)))
    borrows = draft.is_set("rebalance", "allow_margin") and chance.happens(70)
    most = D(draft.settings["rebalance"]["max_leverage"])
    levered = chance.one_of(most, chance.number("1.05", str(most), 2))
    gross = levered if borrows else chance.one_of(ONE, ONE, D("0.9"), D("0.5"))
    weights = chance.shares_of(gross, len(wanted))
    draft.targets = dict(zip(map(Symbol, wanted), weights, strict=True))
    if borrows:
        draft.targets[CASH] = ONE - sum(weights, ZERO)
    elif chance.happens(25):
        draft.targets[Symbol(wanted[0])] = ZERO


def _holdings(draft: Draft) -> None:
    """Around the targets, of symbols without one, and of things that are none of ours."""
    chance = draft.chance
    # now and then the account is nearly on target
    low, high = chance.one_of(("0", "2"), ("0.7", "1.3"), ("0.98", "1.02"))
    for symbol, price in draft.prices.items():
        weight = draft.targets.get(symbol) or chance.one_of(D("0.02"), D("0.1"))
        if chance.happens(75):
            shares = draft.size * weight * chance.number(low, high) / price
            _hold(draft, symbol, shares, is_in_fractions=draft.quotes[symbol].is_fractional and chance.happens(30))
    if chance.happens(30):
        _hold_outside(draft, Symbol("AAPLX"), SecurityType.STOCK, USD)
    if chance.happens(15):
        _hold_outside(draft, Symbol("XICX"), SecurityType.ETF, CAD)


def _hold(draft: Draft, symbol: Symbol, shares: Decimal, *, is_in_fractions: bool) -> None:
    quantity = floor_to(shares, D("0.0001") if is_in_fractions else ONE)
    if quantity:
        draft.positions.append(SimPosition(symbol, quantity, draft.prices[symbol]))


def _hold_outside(draft: Draft, symbol: Symbol, kind: SecurityType, currency: Currency) -> None:
    shares = D(draft.chance.whole(1, 40))
    cost = (draft.size * draft.chance.number("0.001", "0.004")).quantize(D("0.01"))
    draft.positions.append(SimPosition(symbol, shares, cost, kind, currency))


def _cash(draft: Draft) -> None:
    """What the holdings leave of the account's size, roughly; at times a debt."""
    chance = draft.chance
    part = chance.one_of("0.001", "0.01", "0.05", "0.3", "1", "-0.03")
    draft.cash[USD] = (draft.size * D(part) * chance.number("0.5", "1.5")).quantize(D("0.01"))
    if draft.is_set("fx", "enabled") or chance.happens(15):
        part = chance.one_of("0.01", "0.1", "0.5", "1", "-0.01")
        draft.cash[CAD] = (draft.size * D(part) * chance.number("0.5", "1.5")).quantize(D("0.01"))


def _scenario(draft: Draft, seed: str) -> Scenario:
    base = draft.chance.one_of(USD, USD, CAD)
    draft.set("ibkr", account_id=ACCOUNT, read_only=False)
    draft.set("models", smurf="0.5", badass="0.3", gltr="0.2")
    # a broker may ask for more margin than its usual part of what is held
    is_short = draft.is_set("rebalance", "allow_margin") and draft.chance.happens(30)
    excess = draft.size * draft.chance.number("0.1", "0.5", 2) if is_short else None
    world = World(
        as_of=AS_OF,
        account=SimAccount(ACCOUNT, base, draft.cash, excess, tuple(draft.positions)),
        quotes=draft.quotes,
        fills=draft.fills,
        listed=frozenset(set(draft.targets) - {CASH}),
        commission=D(draft.settings["rebalance"]["commission_per_order_usd"]),
    )
    return Scenario(
        name=seed,
        path=Path(f"{seed}.yaml"),
        as_of=AS_OF,
        mode=Mode.PAPER,
        confirm=Confirm.YES,
        confirm_live=False,
        settings=draft.settings,
        portfolios=None,
        targets=draft.targets,
        world=world,
    )
