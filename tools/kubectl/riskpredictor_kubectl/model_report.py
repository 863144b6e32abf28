"""What ``model inspect`` and ``model diff`` show of model cards: plain data, and text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from riskpredictor_kubectl import declaration
from riskpredictor_kubectl.comparison import OF_A_LEVEL, Agreement, Card, figures, interval
from riskpredictor_kubectl.declaration import Feature
from riskpredictor_kubectl.output import align, facts, right, table

ABSENT = "-"
SAME = "="
WIDEST = 40


def document(digest: str, card: Card, files: Mapping[str, bytes]) -> dict[str, Any]:
    """All about an artifact, as ``inspect -o json`` prints it."""
    return {
        "version": card["model_version"],
        "digest": digest,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
        "card": dict(card),
    }


def text(digest: str, card: Card, files: Mapping[str, bytes], *, proven: bool) -> str:
    """All about an artifact but golden cases and examples.

    Args:
        digest: of the card.
        card: in any format.
        files: of the artifact, by name.
        proven: whether the model was asked its golden cases, and answered as the card says.
    """
    cases = f"{len(card.get('golden_cases') or ())}, {'all pass' if proven else 'not tried'}"
    about = [("MODEL", card["model_version"]), ("DIGEST", digest), *_about(card)]
    listed = [(n, str(len(d)), hashlib.sha256(d).hexdigest()) for n, d in files.items()]
    sections = [
        facts([*about, ("GOLDEN CASES", cases)]),
        _features(card),
        _metrics(card),
        _levels(card),
        table(("FILE", "BYTES", "SHA-256"), listed),
    ]
    return "\n\n".join(filter(None, sections))


def _about(card: Card) -> list[tuple[str, str]]:
    data, recipe = card.get("data") or {}, card.get("recipe") or {}
    counts = ", ".join(f"{level} {count}" for level, count in _in_order(card, data.get("levels")))
    trained = f"{data.get('records', '?')} records, {data.get('source', 'of unknown source')}"
    return [
        ("TITLE", str(card.get("title") or "")),
        ("TYPE", str(card.get("model_type") or "")),
        ("RECIPE", ": ".join(filter(None, (recipe.get("name"), recipe.get("summary"))))),
        ("USE", str(card.get("intended_use") or "")),
        ("DATA", f"{trained}: {counts}" if counts else trained),
        ("LEVELS", ", ".join(declaration.read(card).levels)),
    ]


def _in_order(card: Card, counts: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    known = counts or {}
    return [(level, known[level]) for level in declaration.read(card).levels if level in known]


def _features(card: Card) -> str:
    rows = []
    for feature, row in zip(declaration.read(card).features, card["features"], strict=True):
        share = row.get("left_out")
        may = "" if feature.required else "may be" if share is None else f"{100 * share:.0f} %"
        spans = (_cut(feature.span()), _cut(_trained(row)))
        rows.append((feature.name, feature.type, *spans, may or ABSENT, _risk(row)))
    return table(("FEATURE", "TYPE", "ACCEPTED", "TRAINED ON", "LEFT OUT", "RISK"), rows)


def _risk(row: Mapping[str, Any]) -> str:
    """How the risk should depend on a feature, and whether it does."""
    declared = str(row.get("risk") or ABSENT)
    holds = (row.get("monotone") or {}).get("holds", True)
    return declared if holds else f"{declared}: does not hold"


def _cut(text: str) -> str:
    """A list of values as long as a table has room for; -o json has all of it."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _trained(row: Mapping[str, Any]) -> str:
    span = row.get("trained_on") or {}
    if "values" in span:
        return ", ".join(_shown(value) for value in span["values"])
    if "minimum" in span:
        return f"{span['minimum']:g} to {span['maximum']:g}"
    return ABSENT


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _metrics(card: Card) -> str:
    rows = [
        (_words(name), _figure(value), _range(card, name))
        for name, value in figures(card).items()
        if " of " not in name
    ]
    return _with_ranges(("METRIC", "VALUE", "95 % INTERVAL"), rows) if rows else ""


def _levels(card: Card) -> str:
    classes = _in_order(card, (card.get("metrics") or {}).get("per_class"))
    rows = [
        (level, str(row["support"]), *(_figure(row[name]) for name in OF_A_LEVEL),
         _range(card, f"recall of {level}"))
        for level, row in classes
    ]  # fmt: skip
    header = ("LEVEL", "RECORDS", "PRECISION", "RECALL", "F1", "95 % INTERVAL OF RECALL")
    return _with_ranges(header, rows) if rows else ""


def _with_ranges(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, without its last column if that is empty: older trainers gave no intervals."""
    if all(row[-1] == ABSENT for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return table(header, rows)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _range(card: Card, name: str) -> str:
    found = interval(card, name)
    return f"{found[0]:.3f} to {found[1]:.3f}" if found else ABSENT


def difference(one: Card, other: Card, found: Agreement | None) -> dict[str, Any]:
    """What differs, as ``diff -o json`` prints it; cards have their ``digest``."""
    data: dict[str, Any] = {
        "models": [{"version": c["model_version"], "digest": c["digest"]} for c in (one, other)],
        "levels": [list(declaration.read(card).levels) for card in (one, other)],
        "features": [
            {"name": name, "a": a, "b": b, "same": a == b}
            for name, a, b in _side_by_side(one, other)
        ],
        "metrics": {name: [a, b] for name, a, b in _figures(one, other)},
    }
    if found:
        data["agreement"] = {
            "records": found.records, "same": found.same, "upgraded": found.upgraded,
            "downgraded": found.downgraded,
            "counts": [
                {"a": a, "b": b, "records": count}
                for (a, b), count in sorted(found.counts.items())
            ],
        }  # fmt: skip
    return data


def difference_text(one: Card, other: Card, found: Agreement | None) -> str:
    """Two models side by side."""
    heads = [f"A: {one['model_version']}", f"B: {other['model_version']}"]
    abouts = [[("DIGEST", card["digest"]), *_about(card)] for card in (one, other)]
    about = [("MODEL", heads[0]), ("", heads[1])]
    for (name, a), (_, b) in zip(*abouts, strict=True):
        about += [(name, a)] if a == b else [(name, f"A: {a or ABSENT}"), ("", f"B: {b or ABSENT}")]
    features = [
        (name, a or ABSENT, SAME if a == b else b or ABSENT)
        for name, a, b in _side_by_side(one, other)
    ]
    metrics = [
        (_words(name), *(ABSENT if v is None else _figure(v) for v in (a, b)), _change(a, b))
        for name, a, b in _figures(one, other)
    ]
    sections = [
        facts(about),
        table(("FEATURE", *heads), features),
        table(("METRIC", *heads, "CHANGE"), metrics) if metrics else "",
        _agreement(one, other, found) if found else "",
    ]
    return "\n\n".join(filter(None, sections))


def _side_by_side(one: Card, other: Card) -> list[tuple[str, str, str]]:
    """Each feature of either, in words; empty where a model does not have it."""
    texts = [
        {f.name: _in_words(f) for f in declaration.read(card).features} for card in (one, other)
    ]
    return [(name, *(each.get(name, "") for each in texts)) for name in texts[0] | texts[1]]  # type: ignore[misc]


def _in_words(feature: Feature) -> str:
    units = f" (also {', '.join(feature.units[1:])})" if feature.units else ""
    kind = "" if feature.type in ("number", "boolean", "category") else f"{feature.type}, "
    return kind + feature.span() + units + ("" if feature.required else ", may be left out")


def _figures(one: Card, other: Card) -> list[tuple[str, float | None, float | None]]:
    before, after = figures(one), figures(other)
    return [(name, before.get(name), after.get(name)) for name in before | after]


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return ABSENT
    change = after - before
    if not change:
        return SAME
    return f"{change:+d}" if isinstance(change, int) else f"{change:+.3f}"


def _agreement(one: Card, other: Card, found: Agreement) -> str:
    """The matrix of levels, and the shares."""
    rows_of, columns_of = (declaration.read(card).levels for card in (one, other))
    header = [f"{one['model_version']} \\ {other['model_version']}", *columns_of]
    rows = [[a, *(str(found.counts.get((a, b), 0)) for b in columns_of)] for a in rows_of]
    lines = [f"{found.records} records: {_share(found.same, found)} get the same level"]
    if found.upgraded is None or found.downgraded is None:
        lines[0] += "; the models have other levels, so none is up or down"
    else:
        lines[0] += (
            f", {_share(found.upgraded, found)} are upgraded"
            f", {_share(found.downgraded, found)} downgraded by {other['model_version']}"
        )
    return "\n".join([*lines, "", align(right([header, *rows]))])


def _share(count: int, found: Agreement) -> str:
    return f"{count} ({100 * count / found.records:.1f} %)"
