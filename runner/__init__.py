"""`mlrun`: run any `valohai.yaml` on your own machine and record truthfully what happened."""

__version__ = "0.1.0"
