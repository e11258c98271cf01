"""Fuzzing of every reader: ``python -m tools.drills.fuzz [--reader NAME] [--inputs 100000]``.

A reader is given inputs mutated from valid seeds, by a mutation that knows the format and by one
that knows bytes only, and inputs that a coverage-guided fuzzer bred from the same seeds.  It may
answer or raise a subclass of :class:`~chattts_onnx.errors.ChatTTSError` with a message that can be
shown; all else is a failure, saved as the smallest input found that shows it.
"""
