#!/usr/bin/env bash
# The main job, end to end: a new project, its training pipeline, and where to look next.
#
# DEMO names the new project's folder; without it: `demo` in the checkout, or `demo-2`, `demo-3` … beside earlier ones.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
PATH=$root/.venv/bin:$PATH

# An earlier demo may hold somebody's work: it is left alone. `mlrun init` refuses a named folder that is not empty.
folder=${DEMO:-}
if [ -z "$folder" ]; then
    folder=$root/demo
    number=1
    while [ -e "$folder" ]; do
        number=$((number + 1))
        folder=$root/demo-$number
    done
fi

executor=$("$here/executor.sh")
mlrun init "$folder"
cd "$folder"
mlrun pipeline "Training Pipeline" --executor "$executor"

mlrun outputs --node train --glob 'model.*' --dir results
printf '\nthe model: %s (to read: %s)\n' "$PWD/results/model.pkl" "$PWD/results/model.txt"
cat <<END

next:
  cd $PWD && . $root/.venv/bin/activate
  mlrun pipeline "Training Pipeline"   # nothing has changed: nothing runs
  mlrun exec train --C 0.5
  mlrun why train
  mlrun list --sort accuracy
  mlrun show latest
END
