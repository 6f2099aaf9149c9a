"""Requests out of fields: total, and strict on the number of fields, so that a shift by one never goes unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.sim.wire import requests as ask
from core.sim.wire.contracts import ContractFields, read_contract
from core.sim.wire.frames import Cursor, Fields
from core.sim.wire.placing import BAG, read_place_order

MARKET_DATA_LEG_FIELDS = 4
DELTA_NEUTRAL_CONTRACT_FIELDS = 3


def parse_request(fields: Fields) -> ask.Request:
    """The request that the fields of a message are, `Unknown` for an id that is not known. Raises WireError."""
    cursor = Cursor(fields)
    msg_id = cursor.identifier()
    reader = _READERS.get(msg_id)
    if reader is None:
        return ask.Unknown(msg_id, cursor.rest())
    request = reader(cursor)
    cursor.finish()
    return request


def _versioned(read: Callable[[Cursor], ask.Request]) -> Callable[[Cursor], ask.Request]:
    """A reader that passes over the version of its message first; it has told nothing for years."""

    def reader(cursor: Cursor) -> ask.Request:
        cursor.skip()
        return read(cursor)

    return reader


def _legs(cursor: Cursor, contract: ContractFields) -> None:
    if contract.security_type == BAG:
        cursor.skip(cursor.count() * MARKET_DATA_LEG_FIELDS)


def _market_data(cursor: Cursor) -> ask.Request:
    req_id, contract = cursor.identifier(), read_contract(cursor)
    _legs(cursor, contract)
    if cursor.flag():
        cursor.skip(DELTA_NEUTRAL_CONTRACT_FIELDS)
    ticks, is_snapshot, is_regulatory = cursor.text(), cursor.flag(), cursor.flag()
    cursor.skip()  # options
    return ask.AskMarketData(req_id, contract, ticks, is_snapshot, is_regulatory)


def _contract(cursor: Cursor) -> ask.Request:
    request = ask.AskContract(
        req_id=cursor.identifier(),
        contract=read_contract(cursor),
        includes_expired=cursor.flag(),
        sec_id_type=cursor.text(),
        sec_id=cursor.text(),
    )
    cursor.skip()  # issuer
    return request


def _history(cursor: Cursor) -> ask.Request:
    req_id, contract = cursor.identifier(), read_contract(cursor)
    cursor.skip()  # include expired
    end, bar_size, duration = cursor.text(), cursor.text(), cursor.text()
    is_regular_hours, what = cursor.flag(), cursor.text()
    cursor.skip()  # format of the date
    _legs(cursor, contract)
    is_kept_up_to_date = cursor.flag()
    cursor.skip()  # options
    return ask.AskHistory(req_id, contract, end, bar_size, duration, is_regular_hours, what, is_kept_up_to_date)


def _cancel_order(cursor: Cursor) -> ask.Request:
    order_id = cursor.identifier()
    cursor.skip()  # the time of a manual cancel
    return ask.CancelOrder(order_id)


def _executions(cursor: Cursor) -> ask.Request:
    return ask.AskExecutions(
        req_id=cursor.identifier(),
        client_id=cursor.integer() or 0,
        account=cursor.text(),
        since=cursor.text(),
        symbol=cursor.text(),
        security_type=cursor.text(),
        exchange=cursor.text(),
        side=cursor.text(),
    )


def _ids(cursor: Cursor) -> ask.Request:
    cursor.skip()  # how many
    return ask.AskIds()


def _account_multi(cursor: Cursor) -> ask.Request:
    return ask.AskAccountMulti(cursor.identifier(), cursor.text(), cursor.text(), cursor.flag())


def _summary(cursor: Cursor) -> ask.Request:
    req_id, group, tags = cursor.identifier(), cursor.text(), cursor.text()
    return ask.AskSummary(req_id, group, tuple(tag for tag in tags.split(",") if tag))


def _profit_single(cursor: Cursor) -> ask.Request:
    return ask.AskProfitSingle(cursor.identifier(), cursor.text(), cursor.text(), cursor.integer() or 0)


_VERSIONED: Mapping[int, Callable[[Cursor], ask.Request]] = {
    1: _market_data,
    2: lambda cursor: ask.CancelMarketData(cursor.identifier()),
    4: _cancel_order,
    5: lambda _: ask.AskOpenOrders(),
    6: lambda cursor: ask.AskAccount(cursor.flag(), cursor.text()),
    7: _executions,
    8: _ids,
    9: _contract,
    14: lambda cursor: ask.SetLogLevel(cursor.identifier()),
    15: lambda cursor: ask.BindOpenOrders(cursor.flag()),
    16: lambda _: ask.AskAllOpenOrders(),
    17: lambda _: ask.AskManagedAccounts(),
    25: lambda cursor: ask.CancelHistory(cursor.identifier()),
    49: lambda _: ask.AskTime(),
    58: lambda _: ask.CancelEverything(),
    59: lambda cursor: ask.SetMarketDataType(cursor.identifier()),
    61: lambda _: ask.AskPositions(),
    62: _summary,
    63: lambda cursor: ask.CancelSummary(cursor.identifier()),
    64: lambda _: ask.CancelPositions(),
    71: lambda cursor: ask.StartApi(cursor.identifier(), cursor.text()),
    76: _account_multi,
    77: lambda cursor: ask.CancelAccountMulti(cursor.identifier()),
}

_READERS: Mapping[int, Callable[[Cursor], ask.Request]] = {
    3: read_place_order,
    20: _history,
    91: lambda cursor: ask.AskMarketRule(cursor.identifier()),
    92: lambda cursor: ask.AskProfit(cursor.identifier(), cursor.text(), cursor.text()),
    93: lambda cursor: ask.CancelProfit(cursor.identifier()),
    94: _profit_single,
    95: lambda cursor: ask.CancelProfitSingle(cursor.identifier()),
    99: lambda cursor: ask.AskCompletedOrders(cursor.flag()),
    **{msg_id: _versioned(read) for msg_id, read in _VERSIONED.items()},
}
