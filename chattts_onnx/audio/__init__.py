"""Sound in and out: WAV and other formats, resampling, where speech goes."""
