"""Labelled images and feature files."""
