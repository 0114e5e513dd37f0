"""What the six step scripts share. Knows iris flowers and files, and nothing about what runs the scripts."""
