"""`python -m runner`: the same as `mlrun`."""

from runner.cli.main import main

if __name__ == "__main__":
    main()
