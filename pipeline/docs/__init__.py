"""The reference in ``docs/reference``, and the tables of the README, made from code and reports."""
