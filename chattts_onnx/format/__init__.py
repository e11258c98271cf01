"""What a bundle is on disk: manifest, hashes of files, external data."""
