"""One rewrite rule a file: each defines ``RULE``, and is found by lying here."""
