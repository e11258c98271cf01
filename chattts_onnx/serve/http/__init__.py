"""The HTTP application over a :class:`.SpeechService`, and the command that serves it."""
