"""Tree → typed endpoints and deployments. What only a cluster knows stays as written. Pure."""

from runner.spec import field
from runner.spec.model import Deployment, Endpoint, EndpointFile
from runner.spec.reader import Reader, named
from runner.spec.tree import Table

LEAST_PORT, GREATEST_PORT, DEFAULT_PORT = 1025, 65535, 8000


def parse_endpoint(body: Table, reader: Reader) -> Endpoint:
    """The endpoint that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("name"), "endpoint")
    command = field.command(body, "server-command", reader, noun)
    wsgi = reader.text(body, "wsgi", noun)
    if "server-command" not in body and "wsgi" not in body:
        reader.error("missing-key", f"{noun} has no `server-command`", body.at)
    if command and wsgi:
        reader.error("ambiguous-item", f"{noun} has both `wsgi` and `server-command`", body.keys_at["server-command"])
    return Endpoint(
        name=reader.text(body, "name", noun, required=True) or "",
        location=field.place_of(body, reader),
        image=reader.text(body, "image", noun, required=True) or "",
        server_command=command,
        wsgi=wsgi,
        port=_port(body, reader, noun),
        files=tuple(_file(table, reader, noun) for table in reader.tables(body, "files", noun)),
        description=field.remark(body),
        source=body,
    )


def _port(body: Table, reader: Reader, noun: str) -> int:
    port = reader.count(body, "port", noun, LEAST_PORT)
    if port is not None and port > GREATEST_PORT:
        reader.error("wrong-value", f"the `port` of {noun} is more than {GREATEST_PORT}", body.values_at["port"])
    return DEFAULT_PORT if port is None else port


def _file(table: Table, reader: Reader, owner: str) -> EndpointFile:
    noun = f"{named(table.get('name'), 'file')} of {owner}"
    return EndpointFile(
        name=reader.text(table, "name", noun, required=True) or "",
        path=reader.text(table, "path", noun, required=True) or "",
        location=field.place_of(table, reader),
    )


def parse_deployment(body: Table, reader: Reader) -> Deployment:
    """The deployment that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("name"), "deployment")
    defaults = reader.table(body, "defaults", noun)
    return Deployment(
        name=reader.text(body, "name", noun, required=True) or "",
        location=field.place_of(body, reader),
        target=None if defaults is None else reader.text(defaults, "target", f"the defaults of {noun}", required=True),
    )
