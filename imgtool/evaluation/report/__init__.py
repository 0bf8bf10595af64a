"""A comparison as one self-contained page of HTML: no script, nothing from outside, every name escaped."""
