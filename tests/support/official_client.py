"""IBKR's own client as a judge: it keeps what it received, and every fault that it found in it.

It reads by position and forgives nothing: a field too few ends its session, and one too many is seen here, where each
message's fields must be used up.
"""

from __future__ import annotations

import inspect
import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from threading import Condition, Thread
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.decoder import Decoder
from ibapi.order import Order
from ibapi.wrapper import EWrapper

DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Received:
    """One message as the client understood it: the name of its callback, and the arguments."""

    name: str
    values: tuple[Any, ...]


class StrictDecoder(Decoder):
    """The client's decoder, which also notes fields that nobody read and messages that it could not read."""

    def __init__(self, wrapper, server_version):
        super().__init__(wrapper, server_version)
        self.faults = []
        self.read = []

    def interpret(self, fields, msg_id):
        self.read.append(msg_id)
        how = self.msgId2handleInfo.get(msg_id)
        try:
            if how is None or how.processMeth is None:
                super().interpret(fields, msg_id)
                return
            left = iter(fields)
            how.processMeth(self, left)
            unread = tuple(left)
        except Exception as error:
            self.faults.append(f"message {msg_id} of {len(fields)} fields: {error!r}: {fields}")
            raise
        if unread:
            self.faults.append(f"message {msg_id} of {len(fields)} fields has {unread} left over: {fields}")

    def interpretWithSignature(self, fields, handle_info):  # noqa: N802 - the library's name
        """As the library, which drops a message of another length with no more than a line in its log."""
        if len(fields) != len(handle_info.wrapperParams):
            self.faults.append(f"{handle_info.wrapperMeth.__name__} of {len(fields)} fields: {fields}")
        super().interpretWithSignature(fields, handle_info)


class _Complaints(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        self.texts.append(f"{record.name}: {record.getMessage()}")


def _keeping(name):
    def keep(self, *values):
        self.keep(Received(name, values))

    return keep


_CALLBACKS = {
    name: _keeping(name) for name, _ in inspect.getmembers(EWrapper, inspect.isfunction) if not name.startswith("_")
}


class OfficialClient(type("Witness", (EWrapper,), _CALLBACKS), EClient):
    """A client whose requests are the library's own; `wait_for` waits for what it receives, under a deadline."""

    def __init__(self):
        EClient.__init__(self, wrapper=self)
        self.messages = []
        self._arrived = Condition()
        self._strict = None
        self._complaints = _Complaints()
        self._thread = None
        self._last_id = 0

    def start(self, port, client_id=7):
        """Connect and listen, both in a thread: a server that sends nothing would hold `connect` for ever."""
        logging.getLogger("ibapi").addHandler(self._complaints)
        self._thread = Thread(target=self._listen, args=(port, client_id), daemon=True)
        self._thread.start()
        self.wait_for("nextValidId")
        self.wait_for("managedAccounts")

    def stop(self):
        """Hang up, and wait until its threads ended; closing the socket alone would leave its reader in a wait."""
        logging.getLogger("ibapi").removeHandler(self._complaints)
        reader, connection = self.reader, self.conn
        if connection is not None and connection.socket is not None:
            with suppress(OSError):
                connection.socket.shutdown(SHUT_RDWR)
        for thread in (self._thread, reader):
            if thread is not None:
                thread.join(DEADLINE_SECONDS)
                assert not thread.is_alive(), "a thread of the client does not end"

    def judge(self):
        """Raises AssertionError for what the client could not read, did not use up or complained of."""
        assert self.isConnected(), "the session broke"
        assert self._strict.faults == []
        assert self._complaints.texts == []

    def place(self, contract, order):
        """The id under which the order left: the first one that the gateway called free, then the next ones."""
        (first,) = self.received("nextValidId")[-1]
        self._last_id = max(first, self._last_id + 1)
        self.placeOrder(self._last_id, contract, order)
        return self._last_id

    def keep(self, message):
        with self._arrived:
            self.messages.append(message)
            self._arrived.notify_all()

    def received(self, name, *first):
        """The arguments of every such message so far that begins with `first`."""
        with self._arrived:
            return [
                message.values
                for message in self.messages
                if message.name == name and message.values[: len(first)] == first
            ]

    def wait_for(self, name, *first, count=1):
        """The arguments of the message that begins with `first`, once `count` of them came."""
        with self._arrived:
            self._arrived.wait_for(
                lambda: len(self.received(name, *first)) >= count or self.received("connectionClosed"), DEADLINE_SECONDS
            )
            if len(found := self.received(name, *first)) >= count:
                return found[count - 1]
            names = [(message.name, message.values[:3]) for message in self.messages[-20:]]
            raise AssertionError(f"no {name}{first} came; last: {names}; {self._strict and self._strict.faults}")

    @property
    def decoded(self):
        """The numbers of the messages that it decoded."""
        return set(self._strict.read)

    def _listen(self, port, client_id):
        self.connect("127.0.0.1", port, client_id)
        if self.isConnected():
            self._strict = self.decoder = StrictDecoder(self, self.serverVersion())
            self.run()


@contextmanager
def official(port, client_id=7):
    """A connected client, judged at the end."""
    client = OfficialClient()
    client.start(port, client_id)
    try:
        yield client
        client.judge()
    finally:
        client.stop()


def etf(symbol="VTI", **more):
    """An ETF in USD by its symbol."""
    return _filled(Contract(), symbol=symbol, secType="STK", exchange="SMART", currency="USD", **more)


def limit_order(side, shares, limit, **more):
    """A DAY order of the account that the tests have."""
    terms = {"orderType": "LMT", "tif": "DAY", "account": "DU1234567"} | more
    return _filled(Order(), action=side, totalQuantity=shares, lmtPrice=limit, **terms)


def _filled(empty, **values):
    for name, value in values.items():
        assert hasattr(empty, name), name
        setattr(empty, name, value)
    return empty
