"""Whether a value that is given somewhere fits the parameter that it is for. Pure."""

from runner.errors import Location, MlrunError
from runner.spec.check.sheet import Findings
from runner.spec.model import Parameter
from runner.spec.value import coerce


def check_value(findings: Findings, parameter: Parameter | None, value: object, noun: str, location: Location) -> None:
    """Warn of a value that a run would refuse."""
    if parameter is None or value is None:
        return
    try:
        coerce(parameter, value, noun)
    except MlrunError as error:
        findings.warn("unfit-value", error.message, location, error.hint)
