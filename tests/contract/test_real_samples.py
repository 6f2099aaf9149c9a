"""What real gateways sent reaches the product rightly, and the simulated gateway sends messages of the same shape."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from broker_contract import BND, drain
from builders import NOW
from ib_async import IB
from live import venue_of
from real_samples import FILE, WHY_NOT, read_samples
from worlds import VTI, account, earlier, held, order, quoted, world

from core.broker.ib import messages
from core.broker.ib.wrapper import ExactDecoder, GatewayTimes, GatewayWrapper
from core.model import USD_CAD, MarketDataType, OrderRef, Side
from core.money import D
from core.sim.gateway.log import Direction
from core.sim.wire.session import SERVER_VERSION

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=WHY_NOT)
SAMPLES = read_samples()
NOTHING_FOLLOWS = {
    *("handshake", "nextValidId", "accountSummary", "accountSummaryEnd", "accountUpdateMulti", "acctUpdateTime"),
}
UNSET = "1.7976931348623157E308"


def messages_of(fields):
    """The messages that the adapter emits for these fields."""
    received = []
    wrapper = GatewayWrapper(IB(), received.append)
    decoder = ExactDecoder(wrapper, received.append, lambda: NOW)
    decoder.serverVersion = SERVER_VERSION
    decoder.times.set_offset("20260302 15:30:00 EST")
    decoder.interpret(list(fields))
    return received


def number(text):
    return None if text in ("", UNSET) else D(text)


def contract(row):
    return row.contract.con_id, row.contract.symbol, row.contract.security_type, row.contract.currency


def of_error(row, f):
    assert (row.id, row.code, row.text) == (int(f[2]), int(f[3]), " ".join(f[4].split()))


def of_details(row, f):
    pairs = int(f[30])
    after = f[31 + 2 * pairs :]
    assert contract(row) == (int(f[12]), f[2], f[3], f[8])
    assert (row.contract.exchange, row.contract.primary_exchange) == (f[7], f[20])
    assert (row.min_tick, row.size_increment) == (D(f[13]), D(after[7]))
    assert (row.exchanges, row.rules) == (tuple(f[16].split(",")), tuple(after[3].split(",")))
    assert (row.time_zone, row.trading_hours, row.liquid_hours, row.stock_type) == (*f[25:28], after[5])


def of_position(row, f):
    assert (*contract(row), row.quantity, row.account) == (int(f[3]), f[4], f[5], f[11], D(f[14]), f[2])


def of_value(row, f):
    assert (row.tag, row.text, row.currency, row.account) == f[2:6]


def of_holding(row, f):
    assert contract(row) == (int(f[2]), f[3], f[4], f[10])
    assert (row.quantity, row.price, row.value, row.average_cost) == tuple(map(number, f[13:17]))


def of_status(row, f):
    assert (row.order_id, row.status, row.filled) == (int(f[1]), f[2], D(f[3]))
    assert (row.perm_id, row.client_id) == (int(f[6]), int(f[9]))


TIMES = {
    "20260611-13:31:08": "2026-06-11T13:31:08",
    "20260413 15:27:04 US/Eastern": "2026-04-13T19:27:04",
    "20230224  12:04:56": "2023-02-24T17:04:56",
}


def of_execution(row, f):
    assert (row.request_id, row.order_id, *contract(row)) == (
        int(f[1]),
        int(f[2]),
        int(f[3]),
        f[4],
        f[5],
        f[11],
    )
    assert (row.exec_id, row.account, row.side) == (
        f[14],
        f[16],
        {"BOT": Side.BUY, "SLD": Side.SELL}[f[18]],
    )
    assert (row.shares, row.price, row.order_ref) == (D(f[19]), D(f[20]), f[26])
    assert row.at == datetime.fromisoformat(TIMES[f[15]]).replace(tzinfo=UTC)


def of_commission(row, f):
    assert (row.exec_id, row.commission, row.currency) == (f[2], D(f[3]), f[4])


def of_completed(row, f):
    assert contract(row) == (int(f[1]), f[2], f[3], f[9])
    assert (row.perm_id, row.status, row.filled) == (int(f[23]), f[76], D(f[86]))
    assert row.quantity == (D(f[13]) or row.filled)
    assert row.completed_status == f[94].strip()


def of_open(row, f):
    assert (row.order_id, *contract(row), row.account) == (int(f[1]), int(f[2]), f[3], f[4], f[10], f[20])
    assert (row.side.value, row.quantity, row.order_type, row.limit_price) == (
        f[13],
        D(f[14]),
        f[15],
        None,
    )
    assert (row.order_ref, row.client_id, row.perm_id, row.status) == (
        f[23],
        int(f[24]),
        int(f[25]),
        f[93],
    )


def of_tick(row, f):
    price, size = (D(f[4]), D(f[5])) if f[0] == "1" else (None, D(f[4]))
    assert (row.request_id, row.kind, row.price, row.size) == (int(f[2]), int(f[3]), price, size)


def of_stamp(row, f):
    assert row.at == datetime.fromtimestamp(int(f[4]), UTC)


def of_end(row, _f):
    assert isinstance(row, messages.EndOfAnswer)


CHECKS = {
    "managedAccounts": lambda row, f: _is(row.ids, tuple(f[2].split(","))),
    "errMsg": of_error,
    "contractData": of_details,
    "marketRule": lambda row, f: _is([(b.low_edge, b.increment) for b in row.bands], [(D(f[3]), D(f[4]))]),
    "position": of_position,
    "accountValue": of_value,
    "portfolioValue": of_holding,
    "currentTime": lambda row, f: _is(row.at, datetime.fromtimestamp(int(f[2]), UTC)),
    "tickPrice": of_tick,
    "tickSize": of_tick,
    "tickGeneric": lambda row, f: _is(row.is_halted, D(f[4]) > 0),
    "tickString": of_stamp,
    "marketDataType": lambda row, f: _is((row.request_id, row.number), (int(f[2]), int(f[3]))),
    "orderStatus": of_status,
    "execDetails": of_execution,
    "commissionReport": of_commission,
    "completedOrder": of_completed,
    "openOrder": of_open,
    **dict.fromkeys(
        ("contractDataEnd", "positionEnd", "tickSnapshotEnd", "openOrderEnd", "execDetailsEnd"),
        of_end,
    ),
    "completedOrdersEnd": of_end,
    "accountDownloadEnd": lambda row, f: _is(row, messages.EndOfAccount(f[2])),
}


def _is(found, expected):
    assert found == expected


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_genuine_message_is_read_into_the_right_values(sample):
    received = messages_of(sample.fields)
    if sample.kind in NOTHING_FOLLOWS:
        assert received == [] or sample.kind == "handshake"
        return
    (message,) = received
    CHECKS[sample.kind](message, sample.fields)


@pytest.mark.parametrize("sample", [one for one in SAMPLES if one.kind == "handshake"], ids=lambda sample: sample.name)
def test_the_gateways_own_zone_follows_from_any_genuine_handshake(sample):
    there = datetime.strptime(sample.fields[1][:17], "%Y%m%d %H:%M:%S").replace(tzinfo=UTC)
    times = GatewayTimes(lambda: there)
    times.set_offset(sample.fields[1])
    assert times.utc(sample.fields[1][:17]) == there


# what the simulated gateway sends, beside it

OURS = {
    "handshake": "serverVersion",
    "errMsg": "error",
    "contractData": "contractDetails",
    "contractDataEnd": "contractDetailsEnd",
    "accountValue": "updateAccountValue",
    "portfolioValue": "updatePortfolio",
    "acctUpdateTime": "updateAccountTime",
}
# what one message of a kind holds and another does not: names that are numbers, futures and options, industries, hands
MAY_DIFFER = {
    "contractDetails": {20, 22, 23, 24},
    "position": {4, 6, 8, 9, 10},
    "updateAccountValue": {3, 4},
    "updatePortfolio": {3, 12},
    "completedOrder": {4, 7, 18, 22, 80, 85},
    "openOrder": {23, 103, 106, 131, 132},
    "execDetails": {26},
    "commissionReport": {5},
    "managedAccounts": {2},
}
NOT_ASKED_FOR = {"accountSummary", "accountSummaryEnd", "accountUpdateMulti", "currentTime"}


def shape(fields, differing=()):
    """The kind of each field: empty, a number, a figure that is not set, or a text."""
    return ["any" if number in differing else _kind(text) for number, text in enumerate(fields)]


def _kind(text):
    if text == "":
        return "empty"
    if text in (UNSET, "2147483647"):
        return "unset"
    try:
        float(text)
    except ValueError:
        return "text"
    return "number"


@pytest.fixture(scope="module")
def log():
    """All that the simulated gateway sends a client that reads, trades, cancels and looks at its lists."""
    return [entry for entry in asyncio.run(_a_day()) if entry.direction is Direction.OUT]


@pytest.fixture(scope="module")
def sent(log):
    """The same, by name."""
    found = defaultdict(list)
    for entry in log:
        found[entry.message].append(entry.fields)
    return found


async def _a_day():
    delayed = quoted("72.00", "72.01", "72.00", data_type=MarketDataType.DELAYED)
    its_quotes = {VTI: quoted("100.00", "100.02", "100.01"), BND: delayed, USD_CAD: quoted("1.36000", "1.36005")}
    its_account = account(positions=(held(), held("BND", "5")), open_orders=(earlier(),))
    async with venue_of(world(account=its_account, quotes=its_quotes)) as venue:
        client = await venue.connected()
        await client.snapshot()
        contracts = tuple((await client.resolve([VTI, BND, USD_CAD], {})).values())
        for is_snapshot in (False, True):
            await client.quotes(contracts, is_snapshot=is_snapshot)
        await client.place(order())
        await client.place(order(ref="RB-AAAAAAAAAAAA-B2-1", limit="99.00"))
        await client.cancel(OrderRef("RB-AAAAAAAAAAAA-B2-1"))
        await drain(client)
        await client.completed_orders()
        await client.executions()
        return list(venue.gateway.log)


@pytest.mark.parametrize(
    "sample", [one for one in SAMPLES if one.kind not in NOT_ASKED_FOR], ids=lambda sample: sample.name
)
def test_the_simulated_gateways_own_message_has_the_shape_of_the_genuine_one(sample, sent):
    name = OURS.get(sample.kind, sample.kind)
    differing = MAY_DIFFER.get(name, ())
    assert shape(sample.fields, differing) in [shape(fields, differing) for fields in sent[name]]


def test_the_simulated_account_has_as_many_rows_as_a_genuine_one(sent):
    tags = {(fields[2], fields[4]) for fields in sent["updateAccountValue"]}
    assert len(tags) > 150
    for sample in SAMPLES:
        if sample.kind in ("accountValue", "accountUpdateMulti"):
            tag = sample.fields[-4 if sample.kind == "accountValue" else -3]
            assert tag in {tag for tag, _ in tags}


REQUEST = {"58": 2, "81": 1, "57": 2, "1": 2, "2": 2, "45": 2, "46": 2}  # where these name theirs


def sequence(messages):
    """Messages of market data, each by its number and the kind of tick."""
    return [(fields[0], fields[3] if fields[0] in ("1", "2", "45", "46") else "") for fields in messages]


@pytest.mark.parametrize(("version", "number"), [(225, 2), (206, 1)], ids=["a pair, live", "a share, delayed"])
def test_a_snapshot_comes_in_the_order_of_a_genuine_one(version, number, log):
    genuine = sequence(one.fields for one in SAMPLES if one.version == version and one.fields[0] in REQUEST)
    data = [entry.fields for entry in log if entry.fields[0] in REQUEST]
    snapshots = list(dict.fromkeys(fields[2] for fields in data if fields[0] == "57"))
    ours = {request: sequence(one for one in data if one[REQUEST[one[0]]] == request) for request in snapshots}
    found = [one for one in list(ours.values())[number] if one in genuine]
    assert len(found) >= 7
    assert found == [one for one in genuine if one in found]
