"""Labeled images and feature files."""
