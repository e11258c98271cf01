"""A Triton model repository of one bundle: the speech model and the vocoder."""
