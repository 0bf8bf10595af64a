"""Everything that labels images, behind one protocol."""
