"""The load test: ``python -m pipeline.load``, which ``make load`` runs."""
