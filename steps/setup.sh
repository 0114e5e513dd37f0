# First command of every step: installs scikit-learn unless Python finds it already, so that an image that has it
# (or a machine without a network) needs no download.
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("sklearn") is None)' ||
    python -m pip install --quiet -r "$(dirname "$0")/requirements.txt"
