"""Classic classifiers: a vector for each image, and a support vector machine on top."""
