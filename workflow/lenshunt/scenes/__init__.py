"""Arcs of a lens population painted onto real galaxies: in files, or while training."""
