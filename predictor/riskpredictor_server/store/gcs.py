"""Transport ``gcs``: Google Cloud Storage."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from obstore.store import GCSStore

from riskpredictor_server.store.object_store import Bucket, location, opened, options
from riskpredictor_server.store.transport import FetchContext, Source

if TYPE_CHECKING:
    from obstore.store import GCSConfig

_IDENTITY_SECONDS = 1.0
"""How long to look for the metadata server, which is on the same machine."""


def open(source: Source, context: FetchContext) -> Bucket:  # noqa: A001 - as all transports
    """Open ``bucket`` and ``prefix``; ``endpoint`` may be left out.

    Credentials: ``service-account.json`` of the Secret, else the file that the environment names,
    else the pod's identity where there is a metadata server (GKE), else none: a public bucket.
    """
    where = location("gs", source["bucket"], source["prefix"])
    return opened(
        lambda: GCSStore(
            source["bucket"],
            prefix=source["prefix"].strip("/"),
            config=_config(source, context),
            **options(context, source.get("endpoint")),
        ),
        where,
        context,
    )


open_writer = open


def _config(source: Source, context: FetchContext) -> GCSConfig:
    config: GCSConfig = {}
    if endpoint := source.get("endpoint"):
        config["base_url"] = endpoint.rstrip("/")
    if key := context.credential("service-account.json"):
        config["service_account_key"] = key
    elif not os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") and not _has_identity():
        config["skip_signature"] = True
    return config


def _has_identity() -> bool:
    host, _, port = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal").partition(":")
    try:
        socket.create_connection((host, int(port or 80)), _IDENTITY_SECONDS).close()
    except OSError:
        return False
    return True
