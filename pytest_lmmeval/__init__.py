"""Benchmarks as test suites."""
