"""Verbs and rendering: the only room that reads the command line and writes to the terminal."""
