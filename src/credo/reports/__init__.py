"""Figures, tables and videos from run folders. Reads files; imports no JAX."""
