"""`mlrun dataset`: lists of data under a name, in versions."""

from runner.cli.collection import make_app

app = make_app("dataset", "List, show and make datasets: lists of files under a name, in versions.")
