"""A simulated IBKR: the venue (pure), the wire protocol (pure), and a gateway on loopback that serves both."""
