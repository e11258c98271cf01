"""What rules and markup of a text stand on: languages, words of numbers and units, the report."""
