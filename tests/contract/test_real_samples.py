"""What real gateways sent reaches the product rightly, and the simulated gateway sends messages of the same shape."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from builders import NOW
from ib_async import IB
from real_samples import FILE, WHY_NOT, read_samples

from core.broker.ib import words as heard
from core.broker.ib.ear import Ear, HearingDecoder
from core.broker.ib.times import GatewayTimes
from core.model import Side
from core.money import D
from core.sim.wire import SERVER_VERSION

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=WHY_NOT)
SAMPLES = read_samples()
NOTHING_FOLLOWS = {
    *("handshake", "nextValidId", "accountSummary", "accountSummaryEnd", "accountUpdateMulti", "acctUpdateTime"),
}
UNSET = "1.7976931348623157E308"


def words_of(fields):
    """What the adapter makes of a message."""
    words = []
    ear = Ear(IB(), words.append)
    decoder = HearingDecoder(ear, words.append, lambda: NOW)
    decoder.serverVersion = SERVER_VERSION
    decoder.times.greet("20260302 15:30:00 EST")
    decoder.interpret(list(fields))
    return words


def number(text):
    return None if text in ("", UNSET) else D(text)


def contract(word):
    return word.named.con_id, word.named.symbol, word.named.security_type, word.named.currency


def of_error(word, f):
    assert (word.id, word.code, word.text) == (int(f[2]), int(f[3]), " ".join(f[4].split()))


def of_details(word, f):
    pairs = int(f[30])
    after = f[31 + 2 * pairs :]
    assert contract(word) == (int(f[12]), f[2], f[3], f[8])
    assert (word.named.exchange, word.named.primary_exchange) == (f[7], f[20])
    assert (word.min_tick, word.size_increment) == (D(f[13]), D(after[7]))
    assert (word.exchanges, word.rules) == (tuple(f[16].split(",")), tuple(after[3].split(",")))
    assert (word.time_zone, word.trading_hours, word.liquid_hours, word.stock_type) == (*f[25:28], after[5])


def of_position(word, f):
    assert (*contract(word), word.quantity, word.account) == (int(f[3]), f[4], f[5], f[11], D(f[14]), f[2])


def of_value(word, f):
    assert (word.tag, word.text, word.currency, word.account) == f[2:6]


def of_holding(word, f):
    assert contract(word) == (int(f[2]), f[3], f[4], f[10])
    assert (word.quantity, word.price, word.value, word.average_cost) == tuple(map(number, f[13:17]))


def of_status(word, f):
    assert (word.order_id, word.status, word.filled) == (int(f[1]), f[2], D(f[3]))
    assert (word.perm_id, word.client_id) == (int(f[6]), int(f[9]))


TIMES = {
    "20260611-13:31:08": "2026-06-11T13:31:08",
    "20260413 15:27:04 US/Eastern": "2026-04-13T19:27:04",
    "20230224  12:04:56": "2023-02-24T17:04:56",
}


def of_execution(word, f):
    assert (word.request_id, word.order_id, *contract(word)) == (int(f[1]), int(f[2]), int(f[3]), f[4], f[5], f[11])
    assert (word.exec_id, word.account, word.side) == (f[14], f[16], {"BOT": Side.BUY, "SLD": Side.SELL}[f[18]])
    assert (word.shares, word.price, word.order_ref) == (D(f[19]), D(f[20]), f[26])
    assert word.at == datetime.fromisoformat(TIMES[f[15]]).replace(tzinfo=UTC)


def of_commission(word, f):
    assert (word.exec_id, word.commission, word.currency) == (f[2], D(f[3]), f[4])


def of_completed(word, f):
    assert contract(word) == (int(f[1]), f[2], f[3], f[9])
    assert (word.perm_id, word.status, word.filled) == (int(f[23]), f[76], D(f[86]))
    assert word.quantity == (D(f[13]) or word.filled)
    assert word.completed_status == f[94].strip()


def of_tick(word, f):
    price, size = (D(f[4]), D(f[5])) if f[0] == "1" else (None, D(f[4]))
    assert (word.request_id, word.kind, word.price, word.size) == (int(f[2]), int(f[3]), price, size)


def of_stamp(word, f):
    assert word.at == datetime.fromtimestamp(int(f[4]), UTC)


def of_end(word, _f):
    assert isinstance(word, heard.End)


CHECKS = {
    "managedAccounts": lambda word, f: _is(word.ids, tuple(f[2].split(","))),
    "errMsg": of_error,
    "contractData": of_details,
    "marketRule": lambda word, f: _is([(b.low_edge, b.increment) for b in word.bands], [(D(f[3]), D(f[4]))]),
    "position": of_position,
    "accountValue": of_value,
    "portfolioValue": of_holding,
    "currentTime": lambda word, f: _is(word.at, datetime.fromtimestamp(int(f[2]), UTC)),
    "tickPrice": of_tick,
    "tickSize": of_tick,
    "tickGeneric": lambda word, f: _is(word.is_halted, D(f[4]) > 0),
    "tickString": of_stamp,
    "marketDataType": lambda word, f: _is((word.request_id, word.number), (int(f[2]), int(f[3]))),
    "orderStatus": of_status,
    "execDetails": of_execution,
    "commissionReport": of_commission,
    "completedOrder": of_completed,
    **dict.fromkeys(
        ("contractDataEnd", "positionEnd", "accountDownloadEnd", "tickSnapshotEnd", "openOrderEnd", "execDetailsEnd"),
        of_end,
    ),
    "completedOrdersEnd": of_end,
}


def _is(found, expected):
    assert found == expected


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_genuine_message_reaches_the_adapters_values_rightly(sample):
    words = words_of(sample.fields)
    if sample.kind in NOTHING_FOLLOWS:
        assert words == [] or sample.kind == "handshake"
        return
    (word,) = words
    CHECKS[sample.kind](word, sample.fields)


@pytest.mark.parametrize("sample", [one for one in SAMPLES if one.kind == "handshake"], ids=lambda sample: sample.name)
def test_the_gateways_own_zone_shows_in_any_genuine_greeting(sample):
    there = datetime.strptime(sample.fields[1][:17], "%Y%m%d %H:%M:%S").replace(tzinfo=UTC)
    times = GatewayTimes(lambda: there)
    times.greet(sample.fields[1])
    assert times.utc(sample.fields[1][:17]) == there
