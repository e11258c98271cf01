"""pip-audit over the locks: ``python -m tools.audit -r LOCK ...``, as ``make audit`` calls it."""

from __future__ import annotations

import subprocess
import sys

# What pip-audit's traceback ends with when PyPI, where it asks, gives no answer of its own.
_UNREACHED = (
    "ServiceError", "ConnectionError", "RequestException", "HTTPError", "Timeout",
    "SSLError", "ProxyError", "MaxRetryError", "JSONDecodeError",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Exit status of pip-audit, 1 for a known hole; 3, in one line, where nobody could be asked."""
    command = [sys.executable, "-m", "pip_audit", "--strict", "--progress-spinner", "off"]
    command += ["--require-hashes", "--disable-pip", *arguments]
    done = subprocess.run(command, capture_output=True)
    shown, told = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    end = told.strip().rpartition("\n")[2]
    if done.returncode and "known vulnerabilit" not in told and any(n in told for n in _UNREACHED):
        print(
            f"audit: the index of known holes (https://pypi.org) was not reached: {end[:300]}\n"
            "audit: nothing is known of these packages now; run it again where there is a network.",
            file=sys.stderr,
        )
        return 3
    sys.stdout.write(shown)
    sys.stderr.write(told)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
