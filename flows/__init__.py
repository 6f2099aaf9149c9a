"""The flows; importing this sets our defaults for Prefect, and uses the server of `rebalance up` when it runs."""

from tasks.app.environment import set_defaults
from tasks.app.service import use_lasting_server

set_defaults()
use_lasting_server()
