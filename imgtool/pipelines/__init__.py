"""Many images: a source, a function of each image, outcomes in order. No progress bar, message or exit status."""
