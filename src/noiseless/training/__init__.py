"""Training: one loop, its configuration, and what it needs around it."""
