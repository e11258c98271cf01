"""From a prompt to codes: requests, sampling, continuous batching, the KV cache."""
