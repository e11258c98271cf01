"""What everything stands on: errors, atomic files, strict configuration, sentences."""
