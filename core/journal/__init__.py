"""The order journal: its port and the in-memory one."""
