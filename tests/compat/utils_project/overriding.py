"""Reads parameters and an input that the command line gives again."""

import json
from pathlib import Path

import valohai

valohai.prepare(step="everything", default_parameters={"epochs": -1})
facts = {
    name: valohai.parameters(name).value
    for name in ("epochs", "rate", "label", "verbose", "quiet", "dashed-name", "layers", "words")
}
facts["single"] = valohai.inputs("single").path()
Path(valohai.outputs().path("overriding.json")).write_text(json.dumps(facts))
