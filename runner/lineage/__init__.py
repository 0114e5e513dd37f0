"""What made a file, and what was made from it."""
