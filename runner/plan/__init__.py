"""What we intend: steps and pipelines made into a graph of nodes, and nodes bound to jobs. Pure."""
