"""How fast `mlrun` is, always beside something else that was measured in the same minute on the same machine.

Run as `python -m benchmarks`. A benchmark never passes or fails: it prints what it found and the bar beside it.
"""
