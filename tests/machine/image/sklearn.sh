#!/usr/bin/env bash
# mlrun-test/sklearn:1, what the example's steps need: bash, Python (as `python` and `python3`) and scikit-learn.
# needs: mmdebstrap
#
# usage: sklearn.sh OUT.tar   (in an empty folder, which is removed by the caller)
set -euo pipefail

packages=python3,python3-sklearn,python-is-python3

# shellcheck source=/dev/null
. /etc/os-release
suite=${UBUNTU_CODENAME:-$VERSION_CODENAME}
case " $ID ${ID_LIKE:-} " in
    *' ubuntu '*) components=main,universe ;;
    *) components=main ;;
esac

# Half of the installed bytes are headers, a compiler and tests that no step reads. They go after the installation,
# because packages compile and link at their own files while they are set up.
# shellcheck disable=SC2016
slim='cd "$1/usr" && rm -rf include lib/gcc lib/python3.*/config-* lib/python3/dist-packages/pythran share/doc share/locale share/man &&
    find lib -name "*.a" -delete && find lib/python3/dist-packages -depth -type d -name tests -exec rm -rf {} +'

TMPDIR=$PWD exec mmdebstrap --quiet --variant=minbase --components="$components" --include="$packages" \
    --customize-hook="$slim" "$suite" "$1"
