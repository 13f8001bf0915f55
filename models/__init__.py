"""What is stored, and how: records, blobs, tabular formats, plans."""
