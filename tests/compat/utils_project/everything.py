"""Uses what `valohai-utils` offers to a running step and writes down what it got."""

import json
import os
import time
import warnings
from pathlib import Path

import valohai

LONGEST_WAIT = 60
NAMES = ("epochs", "rate", "label", "verbose", "quiet", "dashed-name", "absent", "layers", "words")

facts = {"library": valohai.__file__}


def wait_until_taken(path):
    deadline = time.monotonic() + LONGEST_WAIT
    while os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not os.path.exists(path)


def content(paths):
    return {Path(path).name: Path(path).read_text() for path in paths}


valohai.prepare(
    step="everything",
    default_parameters={"epochs": -1, "label": {"default": "from prepare"}, "unknown": 3},
    default_inputs={"single": "data/many/b.txt", "unknown": "data/many/a.txt"},
    image="nobody/looks:here",
    environment="nowhere",
    multifile=True,
    upload_store="nowhere",
)

facts["parameters"] = {name: valohai.parameters(name).value for name in NAMES}
facts["fallback"] = valohai.parameters("absent", default="the default").value
facts["unknown parameter"] = valohai.parameters("unknown").value

facts["single"] = valohai.inputs("single").path()
facts["folder"] = valohai.inputs("single").dir_path()
facts["many"] = content(valohai.inputs("many").paths())
facts["filtered"] = content(valohai.inputs("many").paths("b*"))
facts["mixed"] = content(valohai.inputs("mixed").paths())
facts["stream"] = valohai.inputs("single").stream().read().decode()
facts["streams"] = sorted(stream.read().decode() for stream in valohai.inputs("many").streams())
facts["tree"] = {
    name: Path(valohai.inputs("tree").path(name)).read_text() for name in ("label1/leaf.txt", "label2/leaf.txt")
}
facts["renamed"] = content(valohai.inputs("renamed").paths())
facts["nothing"] = [valohai.inputs("nothing").path(), valohai.inputs("nothing").path(default="instead")]
facts["unknown input"] = valohai.inputs("unknown").path()
for name in ("zipped", "tarred"):
    facts[name] = content(valohai.inputs(name).paths())
    facts[f"{name}, filtered"] = content(valohai.inputs(name).paths("*one*"))
    facts[f"{name}, streamed"] = sorted(stream.read().decode() for stream in valohai.inputs(name).streams())
    facts[f"{name}, closed"] = Path(valohai.inputs(name).path(process_archives=False)).name

Path(valohai.outputs().path("top.txt")).write_text("top")
Path(valohai.outputs("models").path("deep/model.txt")).write_text("model")
facts["outputs folder"] = valohai.outputs().dir_path
for kind in ("zip", "tar", "tgz"):
    for name in ("one.txt", "two.txt"):
        Path(valohai.outputs(f"raw-{kind}").path(name)).write_text(f"{kind} {name}")
    valohai.outputs().compress(f"raw-{kind}/*.txt", f"packed.{kind}")
Path(valohai.outputs("kept").path("kept.txt")).write_text("kept")
valohai.outputs().compress("kept", "kept.zip", remove_originals=False)

taken = []
for number in (1, 2):
    checkpoint = valohai.outputs("checkpoints").path("weights.txt")
    Path(checkpoint).write_text(f"epoch {number}")
    valohai.outputs("checkpoints").live_upload("weights.txt")
    taken.append(wait_until_taken(checkpoint))
Path(valohai.outputs("late").path("one.txt")).write_text("one")
taken.append(wait_until_taken(valohai.outputs().compress("late/*.txt", "late.zip", live_upload=True)))
facts["taken while it runs"] = taken

with valohai.logger() as logger:
    logger.log("epoch", 1)
    logger.log("accuracy", 0.5, "name", "text")
    logger.log(loss=0.25, broken=float("nan"))
logger = valohai.logger()
logger.log("epoch", 2)
logger.flush()

with valohai.output_properties() as properties:
    properties.add(file="models/deep/model.txt", properties={"accuracy": 0.5, "valohai.tags": ["good", "small"]})
    properties.add(file="models/deep/model.txt", properties={"valohai.alias": "best-model"})
    for file in ("models/deep/model.txt", "top.txt"):
        version = properties.dataset_version_uri("results", "v1")
        properties.add_to_dataset(file=file, dataset_version=version)
with valohai.output_properties() as properties:
    properties.add(file="top.txt", properties={"second": True})

config = valohai.execution().config
facts["execution"] = {"counter": config.counter, "id": config.id, "title": config.title}
facts["distributed"] = valohai.distributed.is_distributed_task()

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    valohai.set_status_detail("half way")
facts["warnings of set_status_detail"] = [str(warning.message) for warning in caught]
facts["trigger"] = valohai.triggers("nobody", required=False)
try:
    valohai.triggers("nobody")
except Exception as error:
    facts["required trigger"] = f"{type(error).__name__}: {error}"

Path(valohai.outputs().path("everything.json")).write_text(json.dumps(facts))
