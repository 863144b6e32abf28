"""Transport ``azure``: Azure Blob Storage."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from obstore.store import AzureStore

from riskpredictor_server.store.object_store import Bucket, location, opened, options
from riskpredictor_server.store.transport import FetchContext, Source

if TYPE_CHECKING:
    from obstore.store import AzureConfig


IDENTITIES = (
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
)
"""Variables by which there are credentials in the environment; AKS sets the first."""


def open(source: Source, context: FetchContext) -> Bucket:  # noqa: A001 - as all transports
    """Open ``account``, ``container`` and ``prefix``; ``endpoint`` may be left out.

    Credentials: the account's key or the SAS token of the Secret, else the pod's identity, which
    the webhook of AKS puts into the environment, else none, as for a public container.
    """
    where = location("az", source["account"], source["container"], source["prefix"])
    return opened(
        lambda: AzureStore(
            source["container"],
            prefix=source["prefix"].strip("/"),
            config=_config(source, context),
            **options(context, source.get("endpoint")),
        ),
        where,
        context,
    )


open_writer = open


def _config(source: Source, context: FetchContext) -> AzureConfig:
    config: AzureConfig = {"account_name": source["account"]}
    if endpoint := source.get("endpoint"):
        config["endpoint"] = endpoint.rstrip("/")
    if key := context.credential("AZURE_STORAGE_ACCOUNT_KEY"):
        config["account_key"] = key
    elif token := context.credential("AZURE_STORAGE_SAS_TOKEN"):
        config["sas_key"] = token.lstrip("?")
    elif not any(os.environ.get(name) for name in IDENTITIES):
        config["skip_signature"] = True
    return config
