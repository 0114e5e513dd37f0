"""A project whose runs are repeated, and what is read of the reports."""

from typing import Any

YAML = """\
- step:
    name: prepare
    image: busybox
    command: [python3 prepare.py]
    inputs: [{name: raw, default: raw.csv}]
- step:
    name: train
    image: busybox
    command: ["python3 train.py {parameter-value:mode}"]
    parameters: [{name: mode, default: plain}]
    inputs: [{name: data, optional: true}]
- step:
    name: fail
    image: busybox
    command:
      - date; echo started
      - echo partial > "$VH_OUTPUTS_DIR/partial.txt"
      - exit {parameter-value:code}
    parameters: [{name: code, type: integer, default: 3}]
- step:
    name: secret
    image: busybox
    command: [printf %s "$TOKEN" | cksum > "$VH_OUTPUTS_DIR/sum.txt"]
    environment-variables: [{name: TOKEN, optional: false}]
- pipeline:
    name: whole
    nodes:
      - {name: prep, type: execution, step: prepare}
      - {name: fit, type: execution, step: train}
      - {name: noisy, type: execution, step: train, override: {parameters: [{name: mode, default: random}]}}
      - {name: after, type: execution, step: train}
    edges:
      - [prep.output.*.csv, fit.input.data]
      - [prep.output.*.csv, noisy.input.data]
      - [noisy.output.random.bin, after.input.data]
"""
PREPARE = """\
import os
rows = open(os.environ["VH_INPUTS_DIR"] + "/raw/raw.csv").read()
open(os.environ["VH_OUTPUTS_DIR"] + "/clean.csv", "w").write(rows.upper())
"""
TRAIN = """\
import json, os, random, sys, time
mode, out = sys.argv[1], os.environ["VH_OUTPUTS_DIR"]
random.seed(int(os.environ["MLRUN_SEED"]))
noise = int.from_bytes(os.urandom(2), "big") * 1e-14 if mode == "noise" else 0.0
loss = random.random() + noise
print("began", time.strftime("%Y-%m-%d %H:%M:%S"), flush=True)
print(json.dumps({"loss": loss, "identity": os.environ["VH_EXECUTION_ID"]}))
data = os.environ["VH_INPUTS_DIR"] + "/data"
given = sorted(os.listdir(data)) if os.path.isdir(data) else []
model = {"loss": loss, "order": list({"a", "b", "c", "d"}), "given": given, "zone": time.tzname}
open(out + "/model.json", "w").write(json.dumps(model))
open(out + "/table.csv", "w").write("x,y\\n1,%r\\n" % (0.5 + noise))
config = json.load(open(os.environ["VH_CONFIG_DIR"] + "/execution.json"))
open(out + "/identity.txt", "w").write("%(valohai.execution-id)s %(valohai.execution-ctime)s" % config)
if mode == "random":
    open(out + "/random.bin", "wb").write(b"head" + os.urandom(16))
if mode == "time":
    open(out + "/time.txt", "w").write("first\\n%d\\n" % time.time_ns())
if mode == "thing":
    try:
        import thing
    except ImportError:
        sys.exit(4)
    open(out + "/thing.txt", "w").write(thing.VALUE)
if mode == "slow":
    print("slow", flush=True)
    time.sleep(600)
"""
FILES = {"prepare.py": PREPARE, "train.py": TRAIN, "raw.csv": "a,b\n1,2\n"}


def identify(project: Any, subject: str = "run:latest") -> str:
    """The whole id, which names it everywhere."""
    return str(project.show(subject)["id"])


def report(done: Any) -> Any:
    """The report; its exit code must be the command's."""
    told = done.json()
    assert told["exit"] == done.code, str(done)
    return told


def parts(node: Any) -> dict[tuple[str, str], Any]:
    return {(part["kind"], part["name"]): part for part in node["parts"]}
