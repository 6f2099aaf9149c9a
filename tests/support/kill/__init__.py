"""The kill campaign: a run is killed by SIGKILL at a crash point, recovered twice, and judged by the gateway's log.

Each case has three kinds of processes, all forked from one that has imported what they need and no Prefect:

    gateway.py    the simulated gateway and its exchange, which outlive every client; its log is a file
    client.py     an approved plan's stages through OrderExecutor, a durable journal and LiveIB; it is killed
    recovery.py   recovery in a fresh process, twice

`case_run.py` plays one case, `clock.py` lets all processes share the venue's time, which jumps while all wait,
`cases.py` says what the cases are, `oracle.py` judges one. `python -m kill` runs them and prints the table; it needs
`tests/support` on PYTHONPATH. `REBALANCER_KILL_CASES` says how many of the 756 are taken, and how many random kills.
"""
