"""Transport ``s3``: Amazon S3 and what speaks its protocol."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.store import S3Store

from riskpredictor_server.store.object_store import Bucket, location, opened, options
from riskpredictor_server.store.transport import FetchContext, Source

if TYPE_CHECKING:
    from obstore.store import S3Config

IDENTITIES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)
"""Variables by which a pod has an identity of its own; EKS sets the last three."""


def open(source: Source, context: FetchContext) -> Bucket:  # noqa: A001 - as all transports
    """Open ``bucket`` and ``prefix``; ``endpoint``, ``region`` and ``pathStyle`` may be left out.

    Credentials: the Secret, else the pod's identity, else none, as for a public bucket. The
    identity of the node is never used: what a pod may read should not depend on where it runs.
    """
    where = location("s3", source["bucket"], source["prefix"])
    return opened(
        lambda: S3Store(
            source["bucket"],
            prefix=source["prefix"].strip("/"),
            config=_config(source, context),
            **options(context, _endpoint(source)),
        ),
        where,
        context,
    )


open_writer = open


def _config(source: Source, context: FetchContext) -> S3Config:
    config: S3Config = {}
    if region := source.get("region"):
        config["region"] = region
    config |= _style(source)
    key = context.credential("AWS_ACCESS_KEY_ID")
    if key is not None:
        config["access_key_id"] = key
        config["secret_access_key"] = context.credential("AWS_SECRET_ACCESS_KEY") or ""
        if token := context.credential("AWS_SESSION_TOKEN"):
            config["session_token"] = token
    elif not any(os.environ.get(name) for name in IDENTITIES):
        config["skip_signature"] = True
    return config


def _endpoint(source: Source) -> str | None:
    endpoint: str | None = source.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL")
    return endpoint


def _style(source: Source) -> Any:
    """Path style is usual for own endpoints, virtual-host style for Amazon's."""
    endpoint, bucket = _endpoint(source), source["bucket"]
    path_style = source.get("pathStyle", bool(endpoint))
    if not endpoint:
        # Certificates of *.s3.amazonaws.com do not hold for a name with more dots.
        return {"virtual_hosted_style_request": not path_style and "." not in bucket}
    if path_style:
        return {"endpoint": endpoint.rstrip("/"), "virtual_hosted_style_request": False}
    parts = urlsplit(endpoint)
    return {
        "endpoint": f"{parts.scheme}://{bucket}.{parts.netloc}",
        "virtual_hosted_style_request": True,
    }
