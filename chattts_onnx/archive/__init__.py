"""Release archives: checked, fetched, unpacked."""
