"""Inputs, outputs and parallel work for many images."""
