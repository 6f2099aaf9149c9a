"""A deterministic market in memory: it knows no clock but the one it is told, and does no input or output."""
