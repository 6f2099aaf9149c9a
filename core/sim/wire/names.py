"""The names of messages, as the protocol's own client libraries call them, for the log and for scripted faults."""

from __future__ import annotations

from collections.abc import Mapping

REQUEST_NAMES: Mapping[int, str] = {
    1: "reqMktData",
    2: "cancelMktData",
    3: "placeOrder",
    4: "cancelOrder",
    5: "reqOpenOrders",
    6: "reqAccountUpdates",
    7: "reqExecutions",
    8: "reqIds",
    9: "reqContractDetails",
    10: "reqMktDepth",
    11: "cancelMktDepth",
    12: "reqNewsBulletins",
    13: "cancelNewsBulletins",
    14: "setServerLogLevel",
    15: "reqAutoOpenOrders",
    16: "reqAllOpenOrders",
    17: "reqManagedAccts",
    18: "requestFA",
    19: "replaceFA",
    20: "reqHistoricalData",
    21: "exerciseOptions",
    22: "reqScannerSubscription",
    23: "cancelScannerSubscription",
    24: "reqScannerParameters",
    25: "cancelHistoricalData",
    49: "reqCurrentTime",
    50: "reqRealTimeBars",
    51: "cancelRealTimeBars",
    52: "reqFundamentalData",
    53: "cancelFundamentalData",
    54: "calculateImpliedVolatility",
    55: "calculateOptionPrice",
    56: "cancelCalculateImpliedVolatility",
    57: "cancelCalculateOptionPrice",
    58: "reqGlobalCancel",
    59: "reqMarketDataType",
    61: "reqPositions",
    62: "reqAccountSummary",
    63: "cancelAccountSummary",
    64: "cancelPositions",
    71: "startApi",
    74: "reqPositionsMulti",
    75: "cancelPositionsMulti",
    76: "reqAccountUpdatesMulti",
    77: "cancelAccountUpdatesMulti",
    78: "reqSecDefOptParams",
    79: "reqSoftDollarTiers",
    80: "reqFamilyCodes",
    81: "reqMatchingSymbols",
    82: "reqMktDepthExchanges",
    83: "reqSmartComponents",
    84: "reqNewsArticle",
    85: "reqNewsProviders",
    86: "reqHistoricalNews",
    87: "reqHeadTimeStamp",
    88: "reqHistogramData",
    89: "cancelHistogramData",
    90: "cancelHeadTimeStamp",
    91: "reqMarketRule",
    92: "reqPnL",
    93: "cancelPnL",
    94: "reqPnLSingle",
    95: "cancelPnLSingle",
    96: "reqHistoricalTicks",
    97: "reqTickByTickData",
    98: "cancelTickByTickData",
    99: "reqCompletedOrders",
    104: "reqUserInfo",
}

ANSWER_NAMES: Mapping[int, str] = {
    1: "tickPrice",
    2: "tickSize",
    3: "orderStatus",
    4: "error",
    5: "openOrder",
    6: "updateAccountValue",
    7: "updatePortfolio",
    8: "updateAccountTime",
    9: "nextValidId",
    10: "contractDetails",
    11: "execDetails",
    15: "managedAccounts",
    45: "tickGeneric",
    46: "tickString",
    49: "currentTime",
    52: "contractDetailsEnd",
    53: "openOrderEnd",
    54: "accountDownloadEnd",
    55: "execDetailsEnd",
    57: "tickSnapshotEnd",
    58: "marketDataType",
    59: "commissionReport",
    61: "position",
    62: "positionEnd",
    63: "accountSummary",
    64: "accountSummaryEnd",
    73: "accountUpdateMulti",
    74: "accountUpdateMultiEnd",
    81: "tickReqParams",
    93: "marketRule",
    94: "pnl",
    95: "pnlSingle",
    101: "completedOrder",
    102: "completedOrdersEnd",
}


def request_name(msg_id: str) -> str:
    """The name of a client's message with that first field, or `unknown`."""
    return REQUEST_NAMES.get(_id(msg_id), "unknown")


def answer_name(msg_id: str) -> str:
    """The name of a server's message with that first field, or `unknown`."""
    return ANSWER_NAMES.get(_id(msg_id), "unknown")


def _id(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1
