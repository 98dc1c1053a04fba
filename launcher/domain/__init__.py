"""The domain XML: one file per concern, and the reader that is its inverse."""
