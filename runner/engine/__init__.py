"""What happens next: a pure machine of node states, and the loop that carries its decisions out."""
