"""Schedules as files and texts."""
