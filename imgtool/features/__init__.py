"""Descriptors of images and the codebooks that encode them."""
