"""Speaker vectors: drawn by seed, read from what people share, collected by name."""
