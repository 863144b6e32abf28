"""A hospital's own cases: read as requests are, and each fault is named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.predictor.support import HEALTHY, SICK, artifact

from riskpredictor_server.api.cases import FILE, LIMIT, CasesResult, check_cases
from riskpredictor_server.model.artifact import Model, load
from riskpredictor_server.model.schema import Values
from riskpredictor_server.model.scorer import Scored

IN_CELSIUS = {**HEALTHY, "temperature": 37.0, "temperature_unit": "C"}


@pytest.fixture(scope="module")
def model() -> Model:
    return load(artifact())


def case(name: str = "one", record: Any = None, **expected: Any) -> dict[str, Any]:
    return {"name": name, "input": record or HEALTHY, **(expected or {"level": "Low"})}


def write(folder: Path, content: Any, name: str = FILE) -> Path:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(data)
    return folder


def failures(folder: Path, model: Model, *cases: Any) -> tuple[str, ...]:
    return check_cases(write(folder, {"cases": cases}), model).failed


def test_what_passes_is_counted_and_the_file_has_its_digest(tmp_path: Path, model: Model) -> None:
    cases = [
        case("healthy", HEALTHY, level="Low"),
        case("healthy, at least", HEALTHY, minLevel="Low"),
        case("septic shock", SICK, level="High"),
        case("septic shock, at least", SICK, minLevel="Medium"),
    ]
    data = json.dumps({"cases": cases}).encode()
    result = check_cases(write(tmp_path, data), model)
    assert result == CasesResult("sha256:" + hashlib.sha256(data).hexdigest(), 4, ())


def test_what_does_not_pass_is_named_with_both_levels(tmp_path: Path, model: Model) -> None:
    cases = [
        case("too high", SICK, level="Medium"),
        case("too low", HEALTHY, level="Medium"),
        case("not enough", HEALTHY, minLevel="High"),
        case("fine", SICK, level="High"),
    ]
    result = check_cases(write(tmp_path, {"cases": cases}), model)
    assert result.passed == 1
    assert result.failed == (
        "too high: expected Medium, the model says High",
        "too low: expected Medium, the model says Low",
        "not enough: expected at least High, the model says Low",
    )


def test_a_record_may_have_any_unit_that_a_request_may_have(tmp_path: Path, model: Model) -> None:
    assert failures(tmp_path, model, case("in °C", IN_CELSIUS)) == ()


WRONG_CASES: dict[str, tuple[Any, str]] = {
    "a level that the model has not": (
        case(level="Critical"),
        """one: level: must be "Low", "Medium" or "High"; this is 'Critical'""",
    ),
    "a least level of another kind": (
        case(minLevel=2), """one: minLevel: must be "Low", "Medium" or "High"; this is 2""",
    ),
    "nothing expected": (
        {"name": "one", "input": HEALTHY}, "one: needs either level or minLevel",
    ),
    "both expected": (
        case(level="Low", minLevel="Low"), "one: needs either level or minLevel",
    ),
    "no record": (
        {"name": "one", "level": "Low"},
        "one: input: is missing; it must be a record as POST /predict takes it",
    ),
    "a record that is none": (
        case(record=[85, 120]),
        ("one: input: a record is a JSON object with heart_rate, blood_pressure, temperature,"
        " oxygen_level; this is an array; name the values, as in"
        ' {"heart_rate": 85, ...}'),
    ),
    "a missing field": (
        case(record={k: v for k, v in HEALTHY.items() if k != "oxygen_level"}),
        "one: input: oxygen_level: required, 40 to 100 %",
    ),
    "a field that there is not": (
        case(record={**HEALTHY, "weight": 70}),
        ("one: input: weight: unknown field; the fields are heart_rate, blood_pressure,"
        " temperature, oxygen_level, temperature_unit"),
    ),
    "a value that is none, which is not repeated": (
        case(record={**HEALTHY, "temperature": 37.25}),
        "one: input: temperature: must be 77 to 113 °F",
    ),
    "another field of the case": (
        {**case(), "expected": "Low"},
        "one: expected: unknown field; a case has name, input, level, minLevel",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "text"), WRONG_CASES.values(), ids=WRONG_CASES)
def test_a_wrong_case_fails_alone_and_says_why(
    wrong: Any, text: str, tmp_path: Path, model: Model
) -> None:
    result = check_cases(write(tmp_path, {"cases": [wrong, case("fine")]}), model)
    assert (result.passed, result.failed) == (1, (text,))


WRONG_FILES: dict[str, tuple[Any, str]] = {
    "no JSON": (b'{"cases": [', "not valid JSON: "),
    "empty": (b"", "the file is empty"),
    "not UTF-8": (b'{"cases": "\xff"}', "the file is not UTF-8: byte 11 is invalid"),
    "a field twice": (b'{"cases": [], "cases": []}', 'the field "cases" is given more than once'),
    "a number that is none": (b'{"cases": [NaN]}', 'the field "cases[0]": NaN is not JSON'),
    "a list": ([case()], 'must be {"cases": [...]} with at least one case'),
    "no cases": ({"cases": []}, 'must be {"cases": [...]} with at least one case'),
    "another field": (
        {"cases": [case()], "version": 1}, "version: unknown field; the only one is cases",
    ),
    "a case without a name": (
        {"cases": [{"input": HEALTHY}]}, "cases[0].name: must be a text of 1 to 100 characters",
    ),
    "a name that is too long": (
        {"cases": [case(), case("x" * 101)]}, "cases[1].name: must be a text of 1 to 100",
    ),
    "a name twice": (
        {"cases": [case(), case()]}, "cases[1].name: 'one' is there more than once",
    ),
    "too large": (b'{"cases": []}' + b" " * LIMIT, "is larger than 1048576 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "text"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_one_failure_that_begins_with_its_name(
    content: Any, text: str, tmp_path: Path, model: Model
) -> None:
    result = check_cases(write(tmp_path, content), model)
    assert result.passed == 0
    assert [failed.startswith(f"cases.json: {text}") for failed in result.failed] == [True], result
    assert result.digest.startswith("sha256:")


class TestTheFolder:
    """The volume of a ConfigMap, which need not exist."""

    @pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
    def test_without_a_file_has_no_result(self, there: bool, tmp_path: Path, model: Model) -> None:
        folder = tmp_path / "cases"
        if there:
            folder.mkdir()
            (folder / "README").touch()
        assert check_cases(folder, model) == CasesResult("", 0, ())

    def test_may_name_its_only_file_otherwise(self, tmp_path: Path, model: Model) -> None:
        write(tmp_path, {"cases": [case(level="High")]}, "ward-7.json")
        write(tmp_path, b"{", ".hidden.json")
        assert check_cases(tmp_path, model).failed == ("one: expected High, the model says Low",)

    def test_with_several_files_has_one_called_cases(self, tmp_path: Path, model: Model) -> None:
        write(write(tmp_path, {"cases": [case()]}, "b.json"), {"cases": [case()]}, "a.json")
        assert check_cases(tmp_path, model).failed == (
            (
                "a.json, b.json: which of them? The ConfigMap needs one key cases.json, or only one"
                " that ends with .json"
            ),
        )
        write(tmp_path, {"cases": [case(), case("two")]})
        assert check_cases(tmp_path, model).passed == 2

    def test_may_have_its_files_behind_links(self, tmp_path: Path, model: Model) -> None:
        (tmp_path / "..2026_11_28").mkdir()
        write(tmp_path / "..2026_11_28", {"cases": [case()]})
        (tmp_path / "..data").symlink_to("..2026_11_28")
        (tmp_path / FILE).symlink_to(Path("..data") / FILE)
        assert check_cases(tmp_path, model).passed == 1


def test_a_model_that_raises_fails_the_case_and_tells_no_value(
    tmp_path: Path, model: Model
) -> None:
    class Raises:
        explains = False

        def score(self, values: Values) -> Scored:
            raise ZeroDivisionError(f"of {values}")

    broken = replace(model, scorer=Raises())  # type: ignore[arg-type]
    assert failures(tmp_path, broken, case()) == (
        "one: the model cannot score it: ZeroDivisionError",
    )
