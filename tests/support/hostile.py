"""What a hostile or broken client sends: streams of frames between valid and senseless, from one seed."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random

import ib_async as ib
from tws_client import TwsClient
from worlds import ACCOUNT

from core.sim.venue.contracts import con_id_of
from core.sim.wire.frames import FRAME_LIMIT, frame

HANDSHAKE = b"API\0" + (9).to_bytes(4, "big") + b"v157..178"
MOST_IN_A_STREAM = 60
NASTY = (
    *("", "0", "1", "-1", "2", "3", "7", "11", "1e999", "-0", "nan", "Infinity", "x", "true", "é", "\ud800", "1" * 400),
    *("2147483647", "9223372036854775807", "1.7976931348623157E308", "VTI", "BND", "USD", "CAD", "CASH", "STK", "BAG"),
    *("LMT", "MKT", "BUY", "SELL", "DAY", "GTC", "IOC", "0.5", "10", "100.02", "1E-30", "99999999999999999999", "%s\n"),
)


def share(symbol="VTI"):
    return ib.Contract(
        conId=con_id_of(symbol), symbol=symbol, secType="STK", exchange="SMART", currency="USD", localSymbol=symbol
    )


def _order(**changes):
    terms = {"action": "BUY", "totalQuantity": 10, "orderType": "LMT", "lmtPrice": 100.02, "tif": "DAY"}
    return ib.Order(**(terms | {"account": ACCOUNT, "orderRef": "RB-A-B1-1"} | changes))


CALLS = (
    ("reqMktData", 5, share(), "", False, False, []),
    ("reqMktData", 6, share("BND"), "233", True, False, []),
    ("cancelMktData", 5),
    ("reqMarketDataType", 3),
    ("placeOrder", 11, share(), _order()),
    ("placeOrder", 12, share("BND"), _order(lmtPrice=60.0)),
    ("placeOrder", 13, share(), _order(action="SELL", orderType="MKT")),
    ("placeOrder", 14, share(), _order(whatIf=True)),
    ("placeOrder", 15, share(), _order(transmit=False)),
    ("placeOrder", 16, ib.Forex("USDCAD"), _order(totalQuantity=1000, lmtPrice=1.4)),
    (
        "placeOrder",
        17,
        share(),
        _order(algoStrategy="Adaptive", algoParams=[ib.TagValue("adaptivePriority", "Normal")]),
    ),
    ("cancelOrder", 12, ""),
    ("reqOpenOrders",),
    ("reqAllOpenOrders",),
    ("reqAutoOpenOrders", True),
    ("reqGlobalCancel",),
    ("reqCompletedOrders", False),
    ("reqExecutions", 8, ib.ExecutionFilter()),
    ("reqAccountUpdates", True, ACCOUNT),
    ("reqAccountUpdates", False, ACCOUNT),
    ("reqAccountUpdatesMulti", 3, ACCOUNT, "", False),
    ("cancelAccountUpdatesMulti", 3),
    ("reqAccountSummary", 4, "All", "NetLiquidation,$LEDGER:ALL"),
    ("cancelAccountSummary", 4),
    ("reqPositions",),
    ("cancelPositions",),
    ("reqIds", 1),
    ("reqManagedAccts",),
    ("reqCurrentTime",),
    ("setServerLogLevel", 5),
    ("reqContractDetails", 9, ib.Stock("VTI", "SMART", "USD")),
    ("reqContractDetails", 10, ib.Forex("USDCAD")),
    ("reqMarketRule", 26),
    ("reqHistoricalData", 6, share(), "", "2 D", "1 day", "TRADES", True, 1, False, []),
    ("cancelHistoricalData", 6),
    ("reqPnL", 1, ACCOUNT, ""),
    ("cancelPnL", 1),
    ("reqPnLSingle", 2, ACCOUNT, "", con_id_of("VTI")),
    ("cancelPnLSingle", 2),
    ("reqNewsProviders",),
)
VALID = tuple(TwsClient().request(*call) for call in CALLS)
KINDS = ("valid", "field", "length", "bytes", "noise", "lie", "half", "huge", "empty")
WEIGHTS = (60, 30, 3, 2, 1, 1, 1, 1, 1)


def frame_of(name):
    """A valid request of that name."""
    return next(frame(fields) for call, fields in zip(CALLS, VALID, strict=True) if call[0] == name)


def start(client):
    """The first frame of a client after its handshake."""
    return frame(("71", "2", str(client), ""))


def stream(random, client):
    """Frames of one client, the handshake with the first, each as the segments in which it arrives."""
    opening = HANDSHAKE + start(client)
    yield _segments(random, _bitten(random, opening) if random.random() < 0.05 else opening)
    for _ in range(random.randrange(1, MOST_IN_A_STREAM)):
        yield _segments(random, _frame(random))


def _segments(random, whole):
    """Mostly in one piece, else split anywhere."""
    if len(whole) < 2 or random.random() < 0.8:
        return (whole,)
    places = sorted({0, len(whole), *(random.randrange(len(whole)) for _ in range(random.randrange(1, 5)))})
    return tuple(whole[one:other] for one, other in pairwise(places))


def _frame(random):
    fields = random.choice(VALID)
    (kind,) = random.choices(KINDS, WEIGHTS)
    if kind == "valid":
        return frame(fields)
    if kind in ("field", "length"):
        return _with_length(_payload(_changed(random, fields, keeps_length=kind == "field")))
    return _broken(random, kind, frame(fields))


def _broken(random, kind, valid):
    match kind:
        case "bytes":
            return valid[:4] + _bitten(random, valid[4:])
        case "noise":
            return _with_length(random.randbytes(random.randrange(300)))
        case "lie":
            return max(0, len(valid) - 4 + random.randrange(-40, 40)).to_bytes(4, "big") + valid[4:]
        case "half":
            return valid[: random.randrange(len(valid))]
        case "huge":
            return random.choice((FRAME_LIMIT, FRAME_LIMIT + 1, 2**31, 2**32 - 1)).to_bytes(4, "big") + valid[4:]
        case _:
            return bytes(4)


def _changed(random, fields, *, keeps_length):
    """The fields with some replaced by nasty ones; else with one more or one less as well."""
    changed = list(fields)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(changed)) or random.randrange(len(changed))  # the message's kind less often
        changed[at] = random.choice(NASTY)
    if not keeps_length:
        at = random.randrange(len(changed))
        changed[at : at + random.randrange(2)] = random.choices(NASTY, k=random.randrange(1, 3))
    return changed


def _payload(fields):
    return b"".join(text.encode("utf-8", "surrogatepass") + b"\0" for text in fields)


def _with_length(payload):
    return len(payload).to_bytes(4, "big") + payload


def _bitten(random, whole):
    bitten = bytearray(whole)
    for _ in range(random.randrange(1, 5)):
        bitten[random.randrange(len(bitten))] = random.randrange(256)
    return bytes(bitten)


class Pipe(asyncio.Transport):
    """The client's end of a connection without a socket: it counts what it receives, and knows when it was closed."""

    def __init__(self, protocol, frames=()):
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.protocol = protocol
        self.bytes_told = 0
        self.is_open = True
        self._has_gone = False
        self._frames = iter(frames)
        protocol.connection_made(self)

    def send(self, most):
        """How many frames left, up to `most`; when there are no more, the client hangs up."""
        sent = 0
        while sent < most and self.is_open:
            segments = next(self._frames, None)
            if segments is None:
                self.hang_up()
                break
            sent += 1
            for segment in segments:
                if self.is_open:
                    self.protocol.data_received(segment)
        return sent

    def hang_up(self):
        """The client goes; the gateway notices with the next turn of the loop."""
        self._has_gone = True
        self.protocol.eof_received()
        self.close()

    def write(self, data):
        assert self.is_open or self._has_gone, "told after it was let go"
        self.bytes_told += len(data)

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self):
        """Nothing is read here but what is fed."""

    def resume_reading(self):
        """As above."""

    def is_closing(self):
        return not self.is_open

    def close(self):
        if self.is_open:
            self.is_open = False
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self):
        self.close()


def seeded(number):
    return Random(f"hostile {number}")
