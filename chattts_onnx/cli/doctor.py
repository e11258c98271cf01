"""``chattts-onnx doctor``: versions, providers, CUDA, threads, and a self-test."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress

from ..errors import ChatTTSError
from ..format.installed import known_bundle
from ..format.manifest import Manifest
from .common import Commands, add_bundle, new_command

_EXAMPLES = """  chattts-onnx doctor
  chattts-onnx doctor -b bundles/int8
  chattts-onnx doctor --json --no-self-test
"""


def add_command(commands: Commands) -> None:
    """Declare the command."""
    parser = new_command(commands, "doctor", "look for trouble on this machine", _EXAMPLES)
    add_bundle(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--no-self-test", action="store_true", help="leave the 2-second test out")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Print the findings; 1 when one of them is an error."""
    from ..doctor import Finding, Level, compare_tools, diagnose, gather, self_test

    facts, bundle = gather(), known_bundle(parsed.bundle)
    findings = diagnose(facts)
    # What can't be read is told by the self-test.
    with suppress(ChatTTSError):
        tools = Manifest.load(bundle, verify=False).tools if bundle else {}
        findings += compare_tools(facts, tools)
    broken = any(f.level is Level.ERROR for f in findings)
    if not parsed.no_self_test and not broken:
        for result in self_test(bundle):
            findings.append(Finding(Level.OK if result.ok else Level.ERROR, result.line))
    if parsed.json:
        rows = [{"level": f.level.value, "what": f.what, "remedy": f.remedy} for f in findings]
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        print()
    else:
        for finding in findings:
            print(f"{finding.level.value:8} {finding.what}")
            if finding.remedy:
                print(f"{'':8} -> {finding.remedy}")
    return int(any(f.level is Level.ERROR for f in findings))
