"""Kernels, borders, convolution and gradients: arrays in, arrays out."""
