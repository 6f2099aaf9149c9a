"""`python -m deployments` is the `rebalance` command."""

from deployments.cli import main

main()
