"""One format a file: `header(data)` and `decode(data, allow_truncated)`, bytes to what they hold."""
