"""Where `action.yml` comes in. The package is found because Python puts a script's own folder first."""

import sys

from pullrequest.job import main

if __name__ == "__main__":
    sys.exit(main())
