"""Training recipe of the small checkpoint that speaks; see README.md."""
