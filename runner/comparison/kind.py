"""What the comparisons by meaning share. Pure."""


class Misnamed(ValueError):
    """The content is not what the file's name says, or more than we read of it: its bytes have to do."""
