"""`daybook ui`: the Dagster UI on a desk's own data.

Belongs here: starting and ending `dagster dev`. Does not belong here: what it shows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from pipelines.runs import prepare
from pipelines.settings import PROJECT, Place


def serve(where: Place, port: int) -> int:
    """Runs the UI until it is interrupted; all its processes end with it. Returns its exit code."""
    prepare(where)
    workspace = PROJECT / "workspace.yaml"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-p", str(port)]
    process = subprocess.Popen(command, start_new_session=True, env=os.environ.copy())
    try:
        return process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGTERM)
        return process.wait()
