"""Whether an earlier execution may stand for one that is asked for, and if not, why."""
