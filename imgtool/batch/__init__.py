"""Many images: which inputs, which outputs, how many at once."""
