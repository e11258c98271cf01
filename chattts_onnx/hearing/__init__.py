"""A recogniser and what it makes of speech: the words heard, and how many are wrong."""
