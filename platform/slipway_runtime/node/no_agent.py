"""Stands where Ray's dashboard agent would: says that it offers nothing, and waits.

The raylet starts it as `no_agent.py <session directory>` with RAY_NODE_ID set, expects a port
file for each service (-1: not offered, as in Ray's minimal installation), and ends if this
process does. Standard library only, so that it costs 8 MB instead of 100.
"""

import os
import signal
import sys
from pathlib import Path

for service in ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port"):
    target = Path(sys.argv[1]) / f"{service}_{os.environ['RAY_NODE_ID']}"
    part = target.with_suffix(".part")
    part.write_text("-1")
    part.replace(target)

parent = os.getppid()
while os.getppid() == parent:
    # Nothing to do but to notice that the raylet is gone.
    signal.sigtimedwait([], 5)
