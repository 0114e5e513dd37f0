"""A record that is concerned by what happens to a file, in words."""

from runner.escape import printable
from runner.upkeep.anomaly import Touch


def touch_text(touch: Touch) -> str:
    """Such as: output `model.pkl` of execution 12 (train), run 5, project iris."""
    name = f" `{printable(touch.name)}`" if touch.name else ""
    if not touch.run:
        return f"{touch.kind}{name}"
    run = f"run {touch.run_counter}" if touch.run_counter else f"run `{touch.run}`"
    where = f"{run}, project {printable(touch.project)}" if touch.project else run
    if not touch.execution:
        return where if touch.kind == "run" else f"{touch.kind}{name} of {where}"
    return f"{touch.kind}{name} of execution {touch.counter} ({printable(touch.step)}), {where}"
