"""`python -m bench.contract`: ask the JSON API thousands of things, and go on from what was answered.

schemathesis asks a server on fake models what its OpenAPI document allows and what it does not; in its last phase it
calls one operation with what another has answered. Every status, type, header and body must be as documented, and no
answer may be a 5xx but 503, which the document gives a reason for.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.machine import machine
from bench.server_process import fake_server

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""


def main() -> None:
    """Serve, ask, and end with schemathesis' own status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="calls of each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder, fake_server(Path(folder)) as (address, _):
        config = Path(folder) / "schemathesis.toml"
        config.write_text(CONFIG)
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
        command += [f"{address}/openapi.json", "--checks", ",".join(CHECKS), "--seed", str(asked.seed)]
        command += ["--max-examples", str(asked.examples), "--warnings", "off", "--continue-on-failure"]
        sys.exit(subprocess.run(command, cwd=folder, check=False).returncode)


if __name__ == "__main__":
    main()
