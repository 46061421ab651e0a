"""Benchmarks of the real program in a pseudo-terminal: `python -m tests.bench [--json FILE] [--quick] [names...]`."""
