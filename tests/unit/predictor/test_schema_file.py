"""Schema files: what can be written, and that every mistake is named with its line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from riskpredictor_server.model.schema import Risk, Unit
from riskpredictor_server.training.schema_file import SchemaFileError, read_schema_file

# As in the guide.
ISSUE = """\
levels: [Low, Medium, High]
features:
  - name: respiratory_rate
    type: integer
    unit: breaths/min
    minimum: 4
    maximum: 70
    risk: rises outside 12..20
  - {name: temperature, unit: °F, minimum: 77, maximum: 113, units: {°C: {scale: 1.8, offset: 32}}}
  - {name: lactate, unit: mmol/L, minimum: 0.1, maximum: 30, required: false, risk: rises}
  - {name: supplemental_oxygen, type: boolean}
  - {name: consciousness, type: category, values: [Alert, Voice, Pain, Unresponsive]}
"""
AGE = "features:\n- {name: age, type: integer, minimum: 0, maximum: 120}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "schema.yaml"


def faults(path: Path, content: str | bytes) -> list[str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SchemaFileError) as caught:
        read_schema_file(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_the_file_of_the_guide_is_read(path: Path) -> None:
    path.write_text(ISSUE)
    schema = read_schema_file(path)
    rate, temperature, lactate, oxygen, consciousness = schema.features
    assert schema.levels == ("Low", "Medium", "High")
    assert (rate.type, rate.minimum, rate.maximum) == ("integer", 4, 70)
    assert rate.risk == Risk(rises=True, band=(12, 20))
    assert temperature.units == (Unit("°C", 1.8, 32),)
    assert (lactate.required, lactate.risk) == (False, Risk(rises=True))
    assert (oxygen.type, oxygen.required) == ("boolean", True)
    assert consciousness.values == ("Alert", "Voice", "Pain", "Unresponsive")


def test_a_byte_order_mark_and_windows_line_ends_are_read(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + ISSUE.replace("\n", "\r\n").encode())
    assert len(read_schema_file(path).features) == 5


def test_words_that_old_yaml_takes_for_booleans_are_text(path: Path) -> None:
    path.write_text(
        "levels: [No, Yes]\nfeatures: [{name: on_call, type: category, values: [on, off]}]\n"
    )
    schema = read_schema_file(path)
    assert schema.levels == ("No", "Yes")
    assert schema.features[0].values == ("on", "off")


def test_numbers_are_those_that_are_written(path: Path) -> None:
    path.write_text("features: [{name: a, minimum: 010, maximum: +1.5e2}]")
    assert (
        read_schema_file(path).features[0].minimum,
        read_schema_file(path).features[0].maximum,
    ) == (10, 150)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "features:\n- name: a\n  minimum: 0,5\n  maximum: 5\n",
            ("line 3: features[0].minimum: must be a number; this is the text '0,5':"
            " write a decimal point"),
        ),
        (
            "features:\n- name: a\n  minimum: 1_0\n  maximum: 5\n",
            "line 3: features[0].minimum: must be a number; this is the text '1_0'",
        ),
        (
            "features:\n- name: a\n  minimum: 1\n  maximum: .inf\n",
            "line 4: features[0].maximum: must be a finite number; this is .inf",
        ),
        (
            "features:\n- {name: a, minimum: 1, maximum: 1e400}\n",
            "line 2: features[0].maximum: must be a finite number; this is 1e400",
        ),
        (
            "features:\n- name: a\n  minimum: 5\n  maximum: 1\n",
            "line 4: features[0].maximum: must be more than minimum, 5; this is 1",
        ),
        (
            AGE + "  \n- name: a\n  type: boolean\n  required: yes\n",
            ("line 6: features[1].required: must be true or false; this is the text 'yes':"
            " write true or false"),
        ),
        (
            "features:\n- name: a\n  type: category\n  values: [true, 2]\n",
            ("line 4: features[0].values: must be 2 to 50 different texts of at most 60 characters;"
            ' true is a boolean: put it in quotes, "true"'),
        ),
        (
            "levels: [1, 2]\n" + AGE,
            ("line 1: levels: must be 2 to 10 different names in ascending order of risk,"
            ' such as [Low, High]; 1 is a number: put it in quotes, "1"'),
        ),
        (
            "features:\n- name: a\n  unit: %\n",
            ("line 3, column 9: not YAML: found character '%' that cannot start any token;"
            ' put text that begins with it in quotes: "%"'),
        ),
        (
            "features:\n\t- name: a\n",
            ("line 2, column 1: not YAML: found character '\\t' that cannot start any token;"
            " indent with spaces, not tabs"),
        ),
        (
            "features:\n- name: a\n  description: x: y\n",
            ("line 3, column 17: not YAML: mapping values are not allowed here;"
            " put text that contains a colon and a space in quotes"),
        ),
        (AGE + "features: []\n", "line 3: features: is there twice, first in line 1"),
        (
            "features:\n- name: a\n  minimum: 0\n  maximum: 1\n  minimum: 0\n",
            "line 5: features[0].minimum: is there twice, first in line 3",
        ),
        (
            "feature:\n- {name: a}\n",
            "line 1: feature: unknown; a schema file has title, levels, features",
        ),
        ("features: 5\n", "line 1: features: must be a list of 1 to 64 features; this is 5"),
        ("- 1\n", "line 1: the declaration: must be a mapping with features"),
        ("", "is empty; a schema file has title, levels, features"),
        ("# only a comment\n", "is empty; a schema file has title, levels, features"),
        (AGE + "---\n" + AGE, "2 YAML documents; a schema file has one"),
        ("a: &x [1]\nb: *x\n", "line 2: *x: write it out; aliases are not read"),
        ("features: &a [*a]\n", "line 1: *a: write it out; aliases are not read"),
        ("[" * 1000 + "]" * 1000, "nested too deeply"),
        (
            "features:\n- name: a\n  type: int\n  minimum: 1\n  maximum: 2\n",
            ("line 3: features[0].type: must be one of number, integer, boolean, category;"
            " this is the text 'int'"),
        ),
        (
            "features:\n- name: a\n  minimum: 1\n  maximum: 2\n  risk: rising\n",
            ('line 5: features[0].risk: must be "rises", "falls" or "rises outside LOW..HIGH";'
            " this is the text 'rising'"),
        ),
        (
            "features:\n- name: a\n  minimum: 1\n",
            "line 2: features[0].maximum: missing: the accepted range keeps typing errors out",
        ),
        (
            "features:\n- name: a\n  minimum: 1\n  maximum: 2\n  unit:\n",
            "line 5: features[0].unit: must be text; this is empty",
        ),
        (
            "features:\n- name: !!python/object:os.system a b\n  minimum: 1\n  maximum: 2\n",
            ("line 2: features[0].name: must be lower-case letters, digits and _, at most 48,"
            " beginning with a letter; this is the text 'a b'"),
        ),
        (
            "features:\n- {name: a, minimum: !!int x, maximum: !!float y}\n",
            "line 2: features[0].minimum: must be a number; this is x",
        ),
        (b"features:\n- name: \xb0C\n", "line 2: byte 0xb0 is not UTF-8; save the file as UTF-8"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(path: Path, content: str | bytes, expected: str) -> None:
    assert expected in faults(path, content)


def test_all_mistakes_are_named_in_the_order_of_the_file(path: Path) -> None:
    text = (
        "features:\n- {name: A, minimum: 1,\n  maximum: 2}\n\n- 7\n"
        "- {name: b, type: boolean, unit: C}\nmore: 1\n"
    )
    found = [line.split(":")[:2] for line in faults(path, text)]
    assert found == [
        ["line 2", " features[0].name"],
        ["line 5", " features[1]"],
        ["line 6", " features[2].unit"],
        ["line 7", " more"],
    ]


def test_a_file_that_cannot_be_read_or_is_no_schema_is_named(path: Path) -> None:
    with pytest.raises(SchemaFileError, match="cannot be read: No such file"):
        read_schema_file(path)
    assert faults(path, b"#" * (1 << 20) + b"\n") == [
        "1048577 bytes; a schema file has at most 1048576"
    ]
