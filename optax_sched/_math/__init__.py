"""Pure maths: arrays in, arrays out; it knows nothing of schedules."""
