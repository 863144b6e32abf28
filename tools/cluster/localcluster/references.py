"""Image names, spelled out as the kubelet spells them."""

from __future__ import annotations

DEFAULT_REGISTRY = "docker.io"
LOCAL_REGISTRY = "localhost"


def normalise(reference: str) -> str:
    """The full name of an image: registry, repository and tag.

    The rule is that of the distribution reference format: the first part is a registry if it holds
    a dot or a colon or is ``localhost``; a bare name lies in ``library/``; no tag means ``latest``.
    """
    first, slash, rest = reference.partition("/")
    if slash and ("." in first or ":" in first or first == LOCAL_REGISTRY):
        registry, path = first, rest
    else:
        registry = DEFAULT_REGISTRY
        path = reference if slash else f"library/{reference}"
    tagged = "@" in path or ":" in path.rpartition("/")[2]
    return f"{registry}/{path}" if tagged else f"{registry}/{path}:latest"


def aliases(reference: str) -> list[str]:
    """Under which names an imported image has to be known so that a manifest finds it.

    buildah calls an image without a registry ``localhost/NAME``; a manifest says just ``NAME``.
    """
    full = normalise(reference)
    short = full.removeprefix(f"{LOCAL_REGISTRY}/")
    return [full] if short == full else [full, normalise(short)]
