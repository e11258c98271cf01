"""Static W8A8."""
