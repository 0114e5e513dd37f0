"""Stores elsewhere, in a folder, over SSH or in a bucket: runs and their objects brought there and back."""
