"""What runs a user's training: sweeps and the range test."""
