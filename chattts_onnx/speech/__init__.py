"""From text to sound: refine and code pass, windows of audio, long texts, the engine."""
