"""Measurements: ratios and medians of one run, never one absolute time."""
