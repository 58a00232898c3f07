"""Workflows: what combines several verbs, or one verb and many files. Importing this package imports nothing more."""
