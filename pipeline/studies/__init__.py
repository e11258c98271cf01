"""Commands that measure what the pipeline does not need at each run."""
