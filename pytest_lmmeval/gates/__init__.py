"""Baselines, and the rules that turn a metric result into a verdict."""
