"""Data: sources, splits, manifests and the packed store; numpy only."""
