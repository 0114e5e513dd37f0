"""How like two results are: byte by byte, then by what they mean, within a tolerance. Reads only what it is given."""
