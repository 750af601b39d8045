"""Schedules and feedback rules inside optax; no other folder imports optax."""
