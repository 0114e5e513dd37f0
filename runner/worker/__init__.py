"""One job on one machine: its folders are made, an executor runs it, what it leaves is collected."""
