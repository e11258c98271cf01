"""Speech over HTTP: a service that knows no web framework, and a FastAPI application over it.

``service.py`` and what it imports need the base installation only; ``app.py``, ``routes/`` and
``metrics.py`` need the extra ``serve``.
"""
