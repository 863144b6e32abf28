"""Finds the account of a registry in a ``.dockerconfigjson``, the Secret of image pulls."""

from __future__ import annotations

import base64
import json
from typing import Any

from riskpredictor_server.store.errors import FETCH_FAILED, StoreError

_DOCKER_HUB = {"index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"}


def account_of(config: str, host: str, repository: str) -> tuple[str, str] | None:
    """Return user name and password of the entry that names most of ``host/repository``.

    None if no entry does. Raises StoreError for what cannot be read.
    """
    try:
        entries = json.loads(config)["auths"]
        named = {_place(name): entry for name, entry in entries.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _wrong("must be a JSON object with auths") from error
    wanted = f"{host}/{repository}"
    found = [name for name in named if wanted == name or wanted.startswith(f"{name}/")]
    if not found:
        return None
    best = max(found, key=len)
    return _account(best, named[best])


def _place(name: str) -> str:
    """Return ``HOST[/PATH]`` of an entry's name, which may be a URL of an API: /v1/ or /v2/."""
    place = name.partition("://")[2] or name
    for ending in ("/", "/v1", "/v2"):
        place = place.removesuffix(ending)
    host, slash, path = place.partition("/")
    return _DOCKER_HUB.get(host, host) + slash + path


def _account(name: str, entry: Any) -> tuple[str, str]:
    if not isinstance(entry, dict):
        raise _wrong(f"{name}: must be an object")
    if auth := entry.get("auth"):
        try:
            username, mark, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except (ValueError, TypeError) as error:
            raise _wrong(f"{name}: auth must be USER:PASSWORD in base64") from error
        if mark and username and password:
            return username, password
    user, secret = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(secret, str) and user and secret:
        return user, secret
    raise _wrong(
        f"{name}: has no user name and password; kubectl create secret docker-registry NAME"
        f" --docker-server={name} --docker-username=USER --docker-password=PASSWORD"
    )


def _wrong(what: str) -> StoreError:
    return StoreError(
        FETCH_FAILED, f"the Secret of spec.model.credentialsSecret: .dockerconfigjson: {what}"
    )
