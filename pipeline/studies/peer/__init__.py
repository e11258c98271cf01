"""Every variant beside the official package."""
