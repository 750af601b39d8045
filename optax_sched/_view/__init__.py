"""Schedules as pictures and tables."""
