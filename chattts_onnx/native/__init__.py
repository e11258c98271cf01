"""Decoding by a library of our own where it fits: see ``docs/explanation/native_step.md``."""
