"""Many images: a source, what is done to each, outcomes in order. No progress bar, message or exit status."""
