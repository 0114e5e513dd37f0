"""`mlrun model`: the files of models under a name, in versions."""

from runner.cli.collection import make_app

app = make_app("model", "List, show and make versions of models: lists of files under a name.")
