"""Fields to requests: total, and strict on the number of fields, so that a shift by one is always noticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.sim.wire import requests
from core.sim.wire.contracts import ContractFields, read_contract
from core.sim.wire.fields import Cursor, Fields
from core.sim.wire.placing import BAG, read_place_order

MARKET_DATA_LEG_FIELDS = 4
DELTA_NEUTRAL_CONTRACT_FIELDS = 3


def parse_request(fields: Fields) -> requests.Request:
    """The request that the fields of a message are, `Unknown` for an id that is not known. Raises WireError."""
    cursor = Cursor(fields)
    msg_id = cursor.identifier()
    reader = _READERS.get(msg_id)
    if reader is None:
        return requests.UnknownRequest(msg_id, cursor.remaining())
    request = reader(cursor)
    cursor.finish()
    return request


def _versioned(read: Callable[[Cursor], requests.Request]) -> Callable[[Cursor], requests.Request]:
    """A reader that first skips the version of its message, which no longer has a meaning."""

    def reader(cursor: Cursor) -> requests.Request:
        cursor.skip()
        return read(cursor)

    return reader


def _legs(cursor: Cursor, contract: ContractFields) -> None:
    if contract.security_type == BAG:
        cursor.skip(cursor.count() * MARKET_DATA_LEG_FIELDS)


def _market_data(cursor: Cursor) -> requests.Request:
    req_id, contract = cursor.identifier(), read_contract(cursor)
    _legs(cursor, contract)
    if cursor.flag():
        cursor.skip(DELTA_NEUTRAL_CONTRACT_FIELDS)
    ticks, is_snapshot, is_regulatory = cursor.text(), cursor.flag(), cursor.flag()
    cursor.skip()  # options
    return requests.RequestMarketData(req_id, contract, ticks, is_snapshot, is_regulatory)


def _contract(cursor: Cursor) -> requests.Request:
    request = requests.RequestContractDetails(
        req_id=cursor.identifier(),
        contract=read_contract(cursor),
        includes_expired=cursor.flag(),
        sec_id_type=cursor.text(),
        sec_id=cursor.text(),
    )
    cursor.skip()  # issuer
    return request


def _history(cursor: Cursor) -> requests.Request:
    req_id, contract = cursor.identifier(), read_contract(cursor)
    cursor.skip()  # include expired
    end, bar_size, duration = cursor.text(), cursor.text(), cursor.text()
    is_regular_hours, what = cursor.flag(), cursor.text()
    cursor.skip()  # format of the date
    _legs(cursor, contract)
    is_kept_up_to_date = cursor.flag()
    cursor.skip()  # options
    return requests.RequestHistory(
        req_id, contract, end, bar_size, duration, is_regular_hours, what, is_kept_up_to_date
    )


def _cancel_order(cursor: Cursor) -> requests.Request:
    order_id = cursor.identifier()
    cursor.skip()  # the time of a manual cancel
    return requests.CancelOrder(order_id)


def _executions(cursor: Cursor) -> requests.Request:
    return requests.RequestExecutions(
        req_id=cursor.identifier(),
        client_id=cursor.integer() or 0,
        account=cursor.text(),
        since=cursor.text(),
        symbol=cursor.text(),
        security_type=cursor.text(),
        exchange=cursor.text(),
        side=cursor.text(),
    )


def _ids(cursor: Cursor) -> requests.Request:
    cursor.skip()  # how many
    return requests.RequestIds()


def _account_multi(cursor: Cursor) -> requests.Request:
    return requests.RequestAccountUpdatesMulti(cursor.identifier(), cursor.text(), cursor.text(), cursor.flag())


def _summary(cursor: Cursor) -> requests.Request:
    req_id, group, tags = cursor.identifier(), cursor.text(), cursor.text()
    return requests.RequestAccountSummary(req_id, group, tuple(tag for tag in tags.split(",") if tag))


def _profit_single(cursor: Cursor) -> requests.Request:
    return requests.RequestPnlSingle(cursor.identifier(), cursor.text(), cursor.text(), cursor.integer() or 0)


# kinds that still carry the version of their message before the fields
_VERSIONED: Mapping[int, Callable[[Cursor], requests.Request]] = {
    1: _market_data,
    2: lambda cursor: requests.CancelMarketData(cursor.identifier()),
    4: _cancel_order,
    5: lambda _: requests.RequestOpenOrders(),
    6: lambda cursor: requests.RequestAccountUpdates(cursor.flag(), cursor.text()),
    7: _executions,
    8: _ids,
    9: _contract,
    14: lambda cursor: requests.SetLogLevel(cursor.identifier()),
    15: lambda cursor: requests.AutoOpenOrders(cursor.flag()),
    16: lambda _: requests.RequestAllOpenOrders(),
    17: lambda _: requests.RequestManagedAccounts(),
    25: lambda cursor: requests.CancelHistory(cursor.identifier()),
    49: lambda _: requests.RequestCurrentTime(),
    58: lambda _: requests.GlobalCancel(),
    59: lambda cursor: requests.SetMarketDataType(cursor.identifier()),
    61: lambda _: requests.RequestPositions(),
    62: _summary,
    63: lambda cursor: requests.CancelAccountSummary(cursor.identifier()),
    64: lambda _: requests.CancelPositions(),
    71: lambda cursor: requests.StartApi(cursor.identifier(), cursor.text()),
    76: _account_multi,
    77: lambda cursor: requests.CancelAccountUpdatesMulti(cursor.identifier()),
}

_READERS: Mapping[int, Callable[[Cursor], requests.Request]] = {
    3: read_place_order,
    20: _history,
    91: lambda cursor: requests.RequestMarketRule(cursor.identifier()),
    92: lambda cursor: requests.RequestPnl(cursor.identifier(), cursor.text(), cursor.text()),
    93: lambda cursor: requests.CancelPnl(cursor.identifier()),
    94: _profit_single,
    95: lambda cursor: requests.CancelPnlSingle(cursor.identifier()),
    99: lambda cursor: requests.RequestCompletedOrders(cursor.flag()),
    **{msg_id: _versioned(read) for msg_id, read in _VERSIONED.items()},
}
