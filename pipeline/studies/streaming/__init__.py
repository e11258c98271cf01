"""What a stream costs by its length."""
