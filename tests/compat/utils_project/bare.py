"""A step that declares nothing: what `prepare` says is all there is."""

import json
from pathlib import Path

import valohai

valohai.prepare(
    step="bare",
    default_parameters={"epochs": 3, "label": {"default": "from prepare"}},
    default_inputs={"many": "data/many/*.txt", "single": {"default": ["data/many/a.txt"]}},
)
facts = {
    "epochs": valohai.parameters("epochs").value,
    "label": valohai.parameters("label").value,
    "many": sorted(Path(path).read_text() for path in valohai.inputs("many").paths()),
    "single": valohai.inputs("single").stream().read().decode(),
}
Path(valohai.outputs().path("bare.json")).write_text(json.dumps(facts))
