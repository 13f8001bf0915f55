"""The engine's side of things: what is registered, submitted and cancelled at Prefect, and the worker that executes it."""
