"""The validators that belong to the standards of exported documents, each as a function that finds what is wrong.

They run without a network: what they would fetch comes from packages. Their warnings are their own.
"""

import importlib.util
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

_RUN_TERMS = "https://w3id.org/ro/terms/workflow-run"
_TERMS = (
    "ContainerImage DockerImage ParameterConnection connection containerImage environment registry resourceUsage "
    "sha256 sourceParameter tag targetParameter"
)
"""The terms of that vocabulary that may stand in our documents."""


@contextmanager
def _their_own() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _contexts() -> Mapping[str, bytes]:
    """What the `@context` of a crate names: RO-Crate 1.1 as the package `rocrate` has it, and the terms of runs."""
    package = importlib.util.find_spec("rocrate")
    assert package is not None and package.origin is not None
    base = Path(package.origin).parent / "data" / "ro-crate.jsonld"
    assert json.loads(base.read_bytes())["@id"] == "https://w3id.org/ro/crate/1.1/context"
    terms = {"@context": {term: f"{_RUN_TERMS}#{term}" for term in _TERMS.split()}}
    return {
        "https://w3id.org/ro/crate/1.1/context": base.read_bytes(),
        f"{_RUN_TERMS}/context": json.dumps(terms).encode(),
    }


@cache
def _read_query(query: str, names: tuple[tuple[str, Any], ...]) -> Any:
    """To read the rules' queries is most of the work of a validation, and they are the same each time."""
    from rdflib.plugins.sparql import prepareQuery

    return prepareQuery(query, dict(names))


def crate_issues(crate: Path, profile: str, severity: str = "REQUIRED", *, metadata_only: bool = False) -> list[str]:
    """What roc-validator says against a folder or archive, of this severity and worse, as `CHECK: MESSAGE`; with
    `metadata_only` it looks for no files."""
    with _their_own():
        import rdflib.plugins.shared.jsonld.context as context
        import requests
        from rdflib.plugins.sparql.processor import SPARQLProcessor
        from rocrate_validator import models, services
        from rocrate_validator.utils.http import HttpRequester

        known = _contexts()
        original, run_query = context.source_to_json, SPARQLProcessor.query

        def fetched(_: object, url: str, *__: object, **___: object) -> requests.Response:
            response = requests.Response()
            response.url, response.status_code = url, 200 if url in known else 404
            response._content = known.get(url, b"")
            response.headers["Content-Type"] = "application/ld+json"
            return response

        def loaded(source: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(source, str) and source in known:
                return json.loads(known[source]), None
            return original(source, *arguments, **options)

        def asked(self: Any, query: str, bindings: Any = None, names: Any = None, *more: Any, **options: Any) -> Any:
            return run_query(self, _read_query(query, tuple(sorted(names.items()))), bindings, names, *more, **options)

        settings = services.ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier=profile,
            requirement_severity=getattr(models.Severity, severity),
            no_cache=True,
            metadata_only=metadata_only,
        )
        with (
            mock.patch.object(HttpRequester, "get", fetched, create=True),
            mock.patch.object(HttpRequester, "head", fetched, create=True),
            mock.patch.object(context, "source_to_json", loaded),
            mock.patch.object(SPARQLProcessor, "query", asked),
        ):
            result = services.validate(settings)
    return [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]


def lineage_issues(content: bytes) -> list[str]:
    """What the classes of openlineage-python, which are made from the schemas of the standard, do not take: each event
    and each facet must come out of them as it went in, and each run has one START and at most one end."""
    with _their_own():
        import cattrs
        from openlineage.client.event_v2 import RunEvent
        from openlineage.client.generated import base

        converter = cattrs.Converter(forbid_extra_keys=True, omit_if_default=True)
        facets = _facets(base.BaseFacet)
    problems: list[str] = []
    seen: dict[tuple[str, bool], int] = {}
    for line in content.splitlines():
        event = json.loads(line)
        start = event["eventType"] == "START"
        seen[event["run"]["runId"], start] = seen.get((event["run"]["runId"], start), 0) + 1
        if event.pop("schemaURL") != RunEvent._get_schema():
            problems.append("the event has another schema")
        for holder in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
            for group in ("facets", "inputFacets", "outputFacets"):
                for name, facet in holder.pop(group, {}).items():
                    problems += _facet_issues(converter, facets, name, facet)
        problems += _structure_issues(converter, RunEvent, event)
    problems += [f"{run} has {count} events of one kind" for (run, _), count in seen.items() if count != 1]
    return problems


def _facets(base: type) -> dict[str, type]:
    """The classes of facets by the address of their schema."""
    import importlib
    import pkgutil

    import openlineage.client.generated as generated

    for module in pkgutil.iter_modules(generated.__path__):
        importlib.import_module(f"{generated.__name__}.{module.name}")
    found, waiting = {}, [base]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        # `attrs` makes a class with slots anew: the one without fields is there until it is collected as garbage.
        if "__attrs_attrs__" in vars(one):
            found[one._get_schema()] = one  # type: ignore[attr-defined]
    return found


def _facet_issues(converter: Any, facets: Mapping[str, type], name: str, facet: dict[str, Any]) -> list[str]:
    schema = facet.pop("_schemaURL")
    if not re.fullmatch(r"[a-z]+:\S+", facet["_producer"]):
        return [f"the producer of `{name}` is no URI"]
    if schema.startswith("urn:mlrun-yaml:") and name.startswith("mlrun_"):
        return []
    if schema not in facets:
        return [f"`{name}` has the schema {schema}, which is not of the standard"]
    return _structure_issues(converter, facets[schema], facet)


def _structure_issues(converter: Any, kind: type, told: dict[str, Any]) -> list[str]:
    """Whatever the classes would take as something else, such as a number as a text, comes out differently."""
    try:
        with _their_own():
            again = json.loads(json.dumps(converter.unstructure(converter.structure(told, kind))))
    except Exception as error:
        return [f"{kind.__name__}: {error!r}: {error.__cause__ or getattr(error, 'exceptions', '')}"]
    plain = {key: value for key, value in told.items() if value not in ([], None)}
    again = {key: value for key, value in again.items() if key != "schemaURL" and not key.startswith("_schema")}
    return [] if again == plain else [f"{kind.__name__}: {plain} is read as {again}"]


def bom_issues(content: bytes) -> list[str]:
    """What the strict validator of CycloneDX 1.6 says."""
    with _their_own():
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode())
    problems = [] if error is None else [str(error)]
    document = json.loads(content)
    refs = [*_refs(document, "bom-ref")]
    problems += [f"the reference {ref} is there twice" for ref in {ref for ref in refs if refs.count(ref) > 1}]
    used = {ref for name in ("ref", "dependsOn") for ref in _refs(document, name)}
    return problems + [f"there is no {ref}" for ref in used.difference(refs)]


def _refs(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            if key == name:
                yield from [one] if isinstance(one, str) else one
            else:
                yield from _refs(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _refs(one, name)


def prov_issues(content: bytes) -> list[str]:
    """Whether `prov` reads the document, and writes it so that it reads the same again."""
    with _their_own():
        from prov.model import ProvDocument

        document = ProvDocument.deserialize(content=content.decode(), format="json")
        again = ProvDocument.deserialize(content=document.serialize(format="json"), format="json")
    told = {id for kind in ("entity", "activity", "agent") for id in json.loads(content).get(kind, {})}
    used = {
        one
        for kind, relations in json.loads(content).items()
        if kind not in ("prefix", "entity", "activity", "agent")
        for relation in relations.values()
        for name, one in relation.items()
        if name not in ("prov:time", "prov:role", "prov:label")
    }
    problems = [] if document == again else ["it is not the same when it was read and written"]
    return problems + [f"there is no {id}" for id in used - told]


def mlflow_runs(folder: Path) -> list[Any]:
    """The runs that MLflow finds in a folder that has `mlruns`, with what it reads of each: (run, histories of its
    metrics by name, artifacts by path). Raises what MLflow raises."""
    quiet = {
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    before = Path.cwd()
    with _their_own(), mock.patch.dict(os.environ, quiet):
        os.chdir(folder)
        try:
            from mlflow.tracking import MlflowClient

            client = MlflowClient(tracking_uri=str(folder / "mlruns"))
            experiments = [one.experiment_id for one in client.search_experiments()]
            return [
                (
                    run,
                    {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics},
                    _artifacts(client, run.info.run_id),
                )
                for run in client.search_runs(experiments)
            ]
        finally:
            os.chdir(before)


def _artifacts(client: Any, run: str, folder: str | None = None) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for one in client.list_artifacts(run, folder):
        if one.is_dir:
            found |= _artifacts(client, run, one.path)
        else:
            found[one.path] = Path(client.download_artifacts(run, one.path)).read_bytes()
    return found
