"""Metrics, statistics and fair comparisons of classifiers."""
