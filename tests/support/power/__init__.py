"""Power loss: what the journal of a run would hold if the power went at any moment, as when an order leaves.

A program runs under strace, which logs each of its system calls with all bytes (`trace.py`). From that log the files
are made again as an unlucky disk would have them: of what was written or named only what a later fsync of that file
or folder has covered (`disk.py`), or with it a random part of the rest. The product then opens such a journal.

`trading.py` is the program: an approved plan, traded over a real socket. A whole `rebalance run` does as well.
"""
