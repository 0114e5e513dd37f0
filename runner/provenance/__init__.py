"""Where things come from: the exact code of a run, and the machine it ran on."""
