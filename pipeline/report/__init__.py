"""Reports: rows, gates, comparison, figures, the machine they were made on."""
