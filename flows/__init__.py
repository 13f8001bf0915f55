"""Streams as Prefect flows: the deployed entrypoint, the compiler, and one attempt of one step."""
