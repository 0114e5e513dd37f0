"""Where files come from: the sources of inputs, brought into the store."""
