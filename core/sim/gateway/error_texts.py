"""The broker's own texts for its codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_RESTRICTION = "Restriction is specified in Precautionary Settings of Global Configuration/"
PRESETS, API = f"{_RESTRICTION}Presets.", f"{_RESTRICTION}API."

TEXTS: Mapping[int, str] = {
    100: "Max rate of messages per second has been exceeded",
    101: "Max number of tickers has been reached",
    103: "Duplicate order id",
    104: "Cannot modify a filled order.",
    105: "Order being modified does not match original order",
    110: "The price does not conform to the minimum price variation for this contract.",
    161: "Cancel attempted when order is not in a cancellable state.",
    162: "Historical Market Data Service error message:No historical data is simulated",
    163: f"The price of the order exceeds the Percentage constraint of 3%. {PRESETS}",
    200: "No security definition has been found for the request",
    201: "Order rejected - reason:",
    202: "Order Canceled - reason:",
    203: "The security is not available or allowed for this account",
    300: "Can't find EId with tickerId",
    321: "Error validating request",
    322: "Error processing request: Maximum number of account summary requests exceeded",
    326: "Unable to connect as the client id is already in use. Retry with a unique client id.",
    354: "Requested market data is not subscribed.",
    366: "No historical data query found for ticker id",
    382: f"The size of the order exceeds the Size Limit of 500. {PRESETS}",
    383: f"The size of the order exceeds the Size Limit of 500. {PRESETS}",
    399: "Order Message:\nWarning: your order will not be placed at the exchange until its market opens",
    404: "Order held while securities are located.",
    434: "The order size cannot be zero",
    451: f"The value estimate of the order exceeds the Total Value Limit of 100,000 USD. {PRESETS}",
    1100: "Connectivity between IBKR and Trader Workstation has been lost.",
    1101: "Connectivity between IBKR and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IBKR and Trader Workstation has been restored - data maintained.",
    2103: "Market data farm connection is broken:usfarm",
    2104: "Market data farm connection is OK:usfarm",
    2105: "HMDS data farm connection is broken:ushmds",
    2106: "HMDS data farm connection is OK:ushmds",
    2107: "HMDS data farm connection is inactive but should be available upon demand.ushmds",
    2108: "Market data farm connection is inactive but should be available upon demand.usfarm",
    2109: "Order Event Warning: Attribute 'Outside Regular Trading Hours' is ignored.",
    2110: "Connectivity between Trader Workstation and server is broken. It will be restored automatically.",
    2119: "Market data farm is connecting:usfarm",
    2157: "Sec-def data farm connection is broken:secdefnj",
    2158: "Sec-def data farm connection is OK:secdefnj",
    10052: "Invalid time in force:Empty",
    10089: "Requested market data requires additional subscription for API. See link in 'Market Data Connections' "
    "dialog for more details.Delayed market data is available.",
    10090: "Part of requested market data is not subscribed.",
    10091: "Part of requested market data requires additional subscription for API.",
    10147: "The order that needs to be cancelled is not found.",
    10148: "The order that needs to be cancelled can not be cancelled, state: Cancelled.",
    10167: "Requested market data is not subscribed. Displaying delayed market data.",
    10168: "Requested market data is not subscribed. Delayed market data is not enabled.",
    10186: "Requested market data is not subscribed. Delayed market data is not available.",
    10197: "No market data during competing live session",
    10243: "Fractional-sized order cannot be placed via API",
    10311: f"This order will be directly routed to NYSE. Direct routed orders may result in higher trade fees. {API}",
    10329: f"This order will be directly routed to NYSE. Direct routed orders may result in higher trade fees. {API}",
    10349: "Order TIF was set to DAY based on order preset.",
}

# what a gateway sends of the data farms when a client connects
FARM_NOTICES: Sequence[tuple[int, str]] = (
    (2119, "Market data farm is connecting:cashfarm"),
    (2104, "Market data farm connection is OK:usfarm.nj"),
    (2104, "Market data farm connection is OK:jfarm"),
    (2108, "Market data farm connection is inactive but should be available upon demand.usopt"),
    (2104, "Market data farm connection is OK:cashfarm"),
    (2104, "Market data farm connection is OK:usfarm"),
    (2107, "HMDS data farm connection is inactive but should be available upon demand.cashhmds"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


def text_of(code: int) -> str:
    """The broker's text for the code; for a code without one, the code."""
    return TEXTS.get(code, f"Error {code}")
