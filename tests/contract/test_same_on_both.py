"""Whatever is asked of them, and in whatever order, the in-memory broker and the real client answer the same."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from itertools import chain

import pytest
from both import Ask, both
from builders import contract
from fuzzing import FUZZ_CASES
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from worlds import ACCOUNT, VTI, account, earlier, held, order, quoted, world

from core.model import CAD, USD, USD_CAD, AccountId, MarketDataType, OrderRef, SecurityType, Side, Symbol
from core.money import D
from core.sim.venue.contracts import con_id_of
from core.sim.venue.world import Change, Fault, FaultKind, FillScript, Point, SimQuote, Values

CASES = max(FUZZ_CASES // 6, 1)
DEADLINE_SECONDS = 60

BND, IVV, SCHD, SHOP, NOPE = (Symbol(name) for name in ("BND", "IVV", "SCHD", "SHOP", "NOPE"))
SYMBOLS = (VTI, BND, IVV, SCHD, SHOP, NOPE, USD_CAD)
REFS = tuple(f"RB-AAAAAAAAAAAA-B{line}-1" for line in range(1, 5))
# what may get lost shares no reference with what arrives: a client would cancel both, memory the one that it has
REFS_OF = {BND: ("RB-AAAAAAAAAAAA-S1-1",), IVV: ("RB-AAAAAAAAAAAA-S2-1",), USD_CAD: ("RB-AAAAAAAAAAAA-F1-1",)}
EARLIER = ("RB-EARLIER-B1-1", "RB-EARLIER-S1-1", "by hand")
ALL_REFS = (*REFS, *chain(*REFS_OF.values()), *EARLIER, "RB-NEVER-B1-1")
POINTS = (Point.APPROVAL, Point.BEFORE_FX, Point.BEFORE_SELLS, Point.BEFORE_BUYS)
LIMITS = {USD_CAD: ("1.36005", "1.3", "1.4", "1.360001")}
USUAL_LIMITS = ("100.02", "100.00", "99.00", "110", "72.01", "60", "100.001", "0", "-1")


def listed(symbol):
    return contract(symbol, con_id=con_id_of(symbol), exchange="IDEALPRO" if symbol == USD_CAD else "SMART")


@st.composite
def orders(draw):
    symbol = draw(st.sampled_from(SYMBOLS))
    return order(
        symbol,
        draw(st.sampled_from(Side)),
        draw(st.sampled_from(("1", "10", "7", "1000", "0.5", "0", "1000000"))),
        draw(st.none() | st.sampled_from(LIMITS.get(symbol, USUAL_LIMITS))),
        draw(st.sampled_from(REFS_OF.get(symbol, REFS))),
        account_id=draw(st.sampled_from((ACCOUNT, ACCOUNT, ACCOUNT, AccountId("DU7654321")))),
        outside_rth=draw(st.booleans()),
    )


SECONDS = st.sampled_from((0, 0.25, 1, 5, 30, 120, 2400))
NUMBERS = st.sampled_from(("ARCA", str(con_id_of(VTI)), str(con_id_of(BND)), "987654"))
OVERRIDES = st.dictionaries(st.sampled_from(SYMBOLS), NUMBERS, max_size=2)
PLAIN = ("accounts", "snapshot", "open_orders", "completed_orders", "executions", "disconnect", "connect")


def asks(quotes_at_once):
    """Anything that may be asked, and the points of a run, at which the world may move."""
    symbols = st.lists(st.sampled_from(SYMBOLS), unique=True, max_size=quotes_at_once)
    contracts = symbols.map(lambda names: [listed(name) for name in names])
    return st.one_of(
        orders().map(lambda one: Ask("place", (one,))),
        st.sampled_from(ALL_REFS).map(lambda ref: Ask("cancel", (OrderRef(ref),))),
        SECONDS.map(lambda seconds: Ask("events", (seconds,))),
        st.sampled_from(PLAIN).map(Ask),
        SECONDS.map(lambda seconds: Ask("sleep", (seconds,))),
        orders().map(lambda one: Ask("what_if", (one,))),
        st.tuples(st.lists(st.sampled_from(SYMBOLS), max_size=4), OVERRIDES).map(lambda args: Ask("resolve", args)),
        st.builds(lambda asked, is_snapshot: Ask("quotes", (asked,), is_snapshot), contracts, st.booleans()),
        st.sampled_from(MarketDataType).map(lambda kind: Ask("market_data_type", (kind,))),
        st.sampled_from(POINTS).map(lambda point: Ask("reach", (point,))),
    )


# the fractions differ by symbol, so that what is due at about the same time is not due in either order
SCRIPTS = {
    symbol: st.builds(
        FillScript,
        delay_seconds=st.sampled_from((Decimal(0), fraction, fraction + 3, fraction + 20)),
        fill_fraction=st.sampled_from((D("0.5"), D(1))),
        price=st.sampled_from((None, D("71.99"))),
        reject=st.sampled_from((None, None, None, 201, 10243, 200, 100, 110)),
        is_lost=st.sampled_from((False, False, False, True)),
        parts=st.sampled_from((1, 3)),
    )
    for symbol, fraction in ((BND, D("0.5")), (IVV, D("0.6")), (USD_CAD, D("0.7")))
}

QUOTES = st.builds(
    SimQuote,
    values=st.builds(
        Values,
        st.sampled_from((None, D("89.99"), D("100.00"), D(-1))),
        st.sampled_from((None, D("90.00"), D("100.02"), D(0))),
        st.sampled_from((None, D("90.00"), D("100.01"))),
    ),
    snapshot=st.none() | st.just(Values(D("100.00"), D("100.05"), D("100.01"))),
    age_seconds=st.sampled_from((D(0), D(0), D(30), D(4000))),
    previous_close=st.sampled_from((None, D("99.50"))),
    data_type=st.sampled_from(
        (MarketDataType.LIVE, MarketDataType.LIVE, MarketDataType.DELAYED, MarketDataType.FROZEN)
    ),
    is_halted=st.booleans(),
    is_fractional=st.booleans(),
)

CHANGES = st.builds(
    Change,
    st.sampled_from(POINTS),
    quotes=st.dictionaries(st.sampled_from((VTI, SCHD)), QUOTES, max_size=2),
    positions=st.sampled_from(((), (held("VTI", "3"),), (held("BND", "25"), held("VTI", "0")))),
    cash=st.sampled_from(({}, {USD: D(50)}, {CAD: D("-12.34"), USD: D(9_000)})),
)

PLACES = ("connect", "snapshot", "quotes", *(f"order:{symbol}" for symbol in (VTI, BND, USD_CAD)), *POINTS)
FAULTS = st.builds(Fault, st.sampled_from(PLACES), st.sampled_from(FaultKind), st.integers(1, 2))


@st.composite
def worlds(draw):
    positions = (held(), held("BND", "30"), held("SHOP", "7", "55", security_type=SecurityType.STOCK, currency=CAD))
    working = (
        earlier(filled=D(4)),
        earlier("BND", Side.SELL, "RB-EARLIER-S1-1", quantity=D(3), limit_price=D("80.00")),
        earlier("SCHD", ref="by hand"),
    )
    quotes = {
        VTI: quoted("100.00", "100.02", "100.01"),
        BND: quoted("72.00", "72.01", "72.00"),
        SCHD: draw(QUOTES),
        USD_CAD: draw(st.sampled_from((quoted("1.36000", "1.36005", "1.36000"), SimQuote()))),
    }
    return world(
        account=account(
            base_currency=draw(st.sampled_from((USD, CAD))),
            excess_liquidity=draw(st.sampled_from((None, D(400)))),
            positions=draw(st.sampled_from(((), positions[:1], positions))),
            open_orders=draw(st.sampled_from(((), working[:1], working))),
        ),
        quotes=quotes,
        fills=draw(st.fixed_dictionaries({}, optional=SCRIPTS)),
        changes=tuple(draw(st.lists(CHANGES, max_size=2))),
        faults=tuple(draw(st.lists(FAULTS, max_size=2))),
        listed=frozenset({IVV}),
        commission=draw(st.sampled_from((D(0), D("1.05")))),
    )


# more often than a world may refuse it; and a run reads the account before it asks anything else
BEGIN = 5 * (Ask("connect"), Ask("snapshot"))
END = (*BEGIN, *map(Ask, ("open_orders", "completed_orders", "executions")))


@st.composite
def rehearsals(draw):
    """A world, and what is asked in it; a fault of a batch of quotes hits each of its messages on the wire."""
    a_world = draw(worlds())
    return a_world, draw(st.lists(asks(1 if a_world.faults else 5), min_size=1, max_size=25))


REFUSED_AT_FIRST = world(account=account(positions=()), faults=(Fault("connect", FaultKind.DISCONNECT, 1),))


@pytest.mark.long
@pytest.mark.timeout(3600)  # at full size it asks for minutes
@given(rehearsals())
@example((REFUSED_AT_FIRST, [Ask("cancel", (OrderRef(REFS[0]),))]))
@settings(max_examples=CASES, derandomize=True)  # new cases are for whoever changes a broker to look for
def test_both_brokers_answer_the_same_to_whatever_is_asked(rehearsal):
    a_world, asked = rehearsal

    async def compare():
        async with asyncio.timeout(DEADLINE_SECONDS), both(a_world) as pair:
            for ask in (*BEGIN, *asked, Ask("events", (60,)), *END):
                in_memory, over_the_wire = await pair.ask(ask)
                assert over_the_wire == in_memory, ask
                event(f"{ask.what}: {_in_short(in_memory['answer'])}")
            pair.fake.exchange.audit()
            pair.real.gateway.exchange.audit()

    asyncio.run(compare())


def _in_short(answer):
    return answer[0] if isinstance(answer, list) and answer and isinstance(answer[0], str) else "answered"
