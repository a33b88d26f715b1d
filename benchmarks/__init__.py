"""Benchmarks: each case is a process of its own, measured from outside; see README.md here."""
