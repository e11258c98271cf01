"""The load test: ``python -m pipeline.studies.load``, which ``make load`` runs."""
