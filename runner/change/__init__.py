"""What a change of the file means: for its steps and pipelines, and for what would run again. Pure."""
