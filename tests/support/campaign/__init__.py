"""Campaigns: many made-up accounts, each through the real story, judged by the exchange's own ledger.

A case is made from its seed alone. `REBALANCER_CAMPAIGN_RUNS` says how many there are of each campaign
(6 unless set); one alone is `pytest 'tests/campaign/test_campaign.py::…[seed-17]'`, with enough runs set.
"""
