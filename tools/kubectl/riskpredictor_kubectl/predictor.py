"""A client of the predictor's HTTP API."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import urllib3

from riskpredictor_kubectl.errors import PluginError

Record = dict[str, float | str]
BATCH = 100
"""Records per request; a predictor takes 1000 unless it is configured to take fewer."""
SECONDS = 30.0


@dataclass(frozen=True)
class Problem:
    """An error of the predictor about one value."""

    index: int | None
    """Of the record; None if it is about no single one."""
    field: str
    detail: str


class RefusedError(Exception):
    """The predictor refused the records (422)."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(str(problems))
        self.problems = problems


class Predictor:
    """A predictor at a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = urllib3.PoolManager(retries=False, timeout=SECONDS)

    def predict(self, record: Record) -> dict[str, Any]:
        """Predict for one record.

        Raises:
            RefusedError: the predictor refuses the record.
            PluginError: there is no answer.
        """
        return self._post(record)

    def predict_many(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """Predict for each record; raises as ``predict``, with the problems of all records."""
        answers: list[dict[str, Any]] = []
        problems = []
        for start in range(0, len(records), BATCH):
            try:
                answers += self._post({"instances": list(records[start : start + BATCH])})[
                    "predictions"
                ]
            except RefusedError as error:
                problems += [
                    problem if problem.index is None
                    else replace(problem, index=start + problem.index)
                    for problem in error.problems
                ]  # fmt: skip
        if problems:
            raise RefusedError(problems)
        return answers

    def _post(self, body: Any) -> dict[str, Any]:
        try:
            response = self._http.request("POST", f"{self._url}/predict", json=body)
        except urllib3.exceptions.HTTPError as error:
            raise PluginError(
                f"the connection to the predictor broke ({type(error).__name__}); try again"
            ) from None
        try:
            answer: dict[str, Any] = json.loads(response.data)
        except ValueError:
            raise PluginError(f"the answer is no JSON (HTTP {response.status})") from None
        if response.status == 422 and answer.get("errors"):
            raise RefusedError([_problem(error) for error in answer["errors"]])
        if response.status != 200:
            why = answer.get("detail") or response.reason
            raise PluginError(f"the predictor answers HTTP {response.status}: {why}")
        return answer


def _problem(error: dict[str, Any]) -> Problem:
    match = re.fullmatch(r"instances\[(\d+)\]\.?(.*)", error["field"])
    rule, _, hint = error["detail"].partition("; ")
    detail = rule + (f", not {error['value']}" if "value" in error else "")
    detail += f"; {hint}" if hint else ""
    if match:
        return Problem(int(match[1]), match[2], detail)
    return Problem(None, error["field"], detail)
