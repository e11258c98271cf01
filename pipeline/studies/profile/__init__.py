"""What bounds a decode step."""
