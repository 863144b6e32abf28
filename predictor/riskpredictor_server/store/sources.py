"""Kinds of stores, and which module reads each; sources as ``spec.model.source`` and as URIs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast
from urllib.parse import urlsplit

from riskpredictor_server.store.errors import FETCH_FAILED, StoreError
from riskpredictor_server.store.transport import FetchContext, Reader, Source, Writer
from riskpredictor_server.store.words import shown_url


@dataclass(frozen=True)
class _Kind:
    module: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    address: Callable[[Source], str]
    """How messages name a source."""
    open: str = "open"
    writer: str = ""
    """The functions of the module; without one, the store cannot be written."""


def _prefixed(scheme: str, *names: str) -> Callable[[Source], str]:
    return lambda source: f"{scheme}://" + "/".join(source[name].strip("/") for name in names)


_PVC = ("claimName", "path")
_KINDS = {
    "s3": _Kind(
        "s3",
        ("bucket", "prefix"),
        ("endpoint", "pathStyle", "region"),
        _prefixed("s3", "bucket", "prefix"),
        writer="open_writer",
    ),
    "gcs": _Kind(
        "gcs",
        ("bucket", "prefix"),
        ("endpoint",),
        _prefixed("gs", "bucket", "prefix"),
        writer="open_writer",
    ),
    "azure": _Kind(
        "azure",
        ("account", "container", "prefix"),
        ("endpoint",),
        _prefixed("az", "account", "container", "prefix"),
        writer="open_writer",
    ),
    "http": _Kind("web_server", ("url",), (), lambda source: shown_url(source["url"])),
    "oci": _Kind(
        "oci",
        ("reference",),
        (),
        lambda source: f"oci://{source['reference']}",
        writer="open_writer",
    ),
    "mlflow": _Kind(
        "mlflow",
        ("server", "uri"),
        ("path",),
        lambda source: f"{source['uri']} of {shown_url(source['server'])}",
    ),
    "pvc": _Kind(
        "folder",
        ("claimName",),
        ("path",),
        lambda source: f"the claim {'/'.join(filter(None, map(source.get, _PVC)))}",
        open="open_pvc",
    ),
    "image": _Kind(
        "folder",
        ("reference",),
        ("path",),
        lambda source: f"the image {source['reference']}",
        open="open_image",
    ),
    "folder": _Kind(
        "folder",
        ("path",),
        (),
        lambda source: str(source["path"]),
        open="open_folder",
        writer="open_folder_writer",
    ),
}
"""``folder`` is of the command line only, not of a RiskPredictor."""


@dataclass(frozen=True)
class Place:
    """One artifact's place in a store."""

    kind: str
    source: Source

    @property
    def address(self) -> str:
        """How messages and logs name it, without anything secret."""
        return _KINDS[self.kind].address(self.source)

    def open(self, context: FetchContext) -> Reader:
        """Open it for reading; raises StoreError."""
        return cast(Reader, self._function(_KINDS[self.kind].open)(self.source, context))

    def open_writer(self, context: FetchContext) -> Writer:
        """Open it for writing; raises StoreError if that cannot be."""
        name = _KINDS[self.kind].writer
        if not name:
            raise StoreError(
                FETCH_FAILED,
                f"{self.address}: files cannot be put there by this tool; use the store's own, or"
                f" one of {', '.join(kind for kind, each in _KINDS.items() if each.writer)}",
            )
        return cast(Writer, self._function(name)(self.source, context))

    def _function(self, name: str) -> Callable[[Source, FetchContext], object]:
        # Imported here: nobody needs the libraries of all stores.
        module = import_module(f"riskpredictor_server.store.{_KINDS[self.kind].module}")
        return cast("Callable[[Source, FetchContext], object]", getattr(module, name))


def place(value: Mapping[str, Any]) -> Place:
    """Check ``spec.model.source``, such as ``{"s3": {"bucket": ...}}``; raises ValueError."""
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ValueError(f"must have exactly one of {', '.join(_KINDS)}")
    [(kind, source)] = value.items()
    if kind not in _KINDS:
        raise ValueError(f"{kind}: no such store; there are {', '.join(_KINDS)}")
    if not isinstance(source, Mapping):
        raise ValueError(f"{kind}: must be an object")  # noqa: TRY004 - as for any wrong setting
    known = _KINDS[kind]
    for name in known.required:
        if not source.get(name):
            raise ValueError(f"{kind}.{name}: is missing")
    for name, each in source.items():
        if name not in known.required + known.optional:
            raise ValueError(f"{kind}.{name}: no such field")
        expected, shown = (bool, "true or false") if name == "pathStyle" else (str, "a text")
        if not isinstance(each, expected):
            raise ValueError(f"{kind}.{name}: must be {shown}")  # noqa: TRY004 - the same
    return Place(kind, source)


def from_json(text: str) -> Place:
    """Read ``spec.model.source`` as JSON; raises ValueError."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"must be JSON ({error})") from None
    return place(value)


def from_uri(uri: str, server: str = "") -> Place:
    """Read a place of the command line; raises ValueError.

    ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX``, ``az://ACCOUNT/CONTAINER/PREFIX``,
    ``https://HOST/PATH/``, ``oci://REFERENCE``, ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``
    of the MLflow server ``server``, or a folder.
    """
    if uri.startswith("models:/"):
        if not server:
            raise ValueError(f"{uri}: the address of the MLflow server is missing")
        return place({"mlflow": {"server": server, "uri": uri}})
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return place({"folder": {"path": uri}})
    if scheme in ("http", "https"):
        return place({"http": {"url": uri}})
    if scheme == "oci":
        return place({"oci": {"reference": rest}})
    parts = urlsplit(uri)
    path = parts.path.strip("/")
    if scheme in ("s3", "gs"):
        kind = {"s3": "s3", "gs": "gcs"}[scheme]
        return place({kind: {"bucket": parts.netloc, "prefix": path}})
    if scheme == "az":
        container, _, prefix = path.partition("/")
        return place({"azure": {"account": parts.netloc, "container": container, "prefix": prefix}})
    raise ValueError(
        f"{uri}: must begin with s3://, gs://, az://, https://, oci:// or models:/, or be a folder"
    )
