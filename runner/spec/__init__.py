"""What the file says: reading, checking and understanding `valohai.yaml`. Speaks the declared tense only."""
