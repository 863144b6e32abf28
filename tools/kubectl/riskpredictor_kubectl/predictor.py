"""A client of the predictor's HTTP API."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import urllib3

from riskpredictor_kubectl import declaration
from riskpredictor_kubectl.declaration import Declaration
from riskpredictor_kubectl.errors import PluginError

Record = dict[str, Any]
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

    def declaration(self) -> Declaration:
        """What the model that answers predicts from and to.

        Raises:
            PluginError: there is no answer, or no model behind it.
        """
        return declaration.read(self._send("GET", "/model"))

    def card(self, *, candidate: bool = False) -> dict[str, Any]:
        """The card of the model that answers, or of the candidate beside it, with its ``digest``:
        the SHA-256 of the card as the server has verified it.

        Raises:
            PluginError: there is no answer, or no such model.
        """
        data = self._request("GET", f"/model{'/candidate' * candidate}/files/card.json")
        card: dict[str, Any] = _json(data)
        return {**card, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}"}

    def predict(self, record: Record) -> dict[str, Any]:
        """Predict for one record.

        Raises:
            RefusedError: the predictor refuses the record.
            PluginError: there is no answer.
        """
        return self._send("POST", "/predict", record)

    def predict_many(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """Predict for each record; raises as ``predict``, with the problems of all records."""
        answers: list[dict[str, Any]] = []
        problems = []
        for start in range(0, len(records), BATCH):
            try:
                batch = {"instances": list(records[start : start + BATCH])}
                answers += self._send("POST", "/predict", batch)["predictions"]
            except RefusedError as error:
                problems += [
                    problem if problem.index is None
                    else replace(problem, index=start + problem.index)
                    for problem in error.problems
                ]  # fmt: skip
        if problems:
            raise RefusedError(problems)
        return answers

    def _send(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer: dict[str, Any] = _json(self._request(method, path, body))
        return answer

    def _request(self, method: str, path: str, body: Any = None) -> bytes:
        sent = {} if body is None else {"json": body}
        try:
            response = self._http.request(method, f"{self._url}{path}", **sent)
        except urllib3.exceptions.HTTPError as error:
            raise PluginError(
                f"the connection to the predictor broke ({type(error).__name__}); try again"
            ) from None
        if response.status == 200:
            return response.data
        answer = _json(response.data, f" (HTTP {response.status})")
        if response.status == 422 and answer.get("errors"):
            raise RefusedError([problem(error) for error in answer["errors"]])
        why = answer.get("detail") or response.reason
        raise PluginError(f"the predictor answers HTTP {response.status}: {why}")


def _json(data: bytes, about: str = "") -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise PluginError(f"the answer is no JSON{about}") from None


def problem(error: Mapping[str, Any]) -> Problem:
    """A problem, from an entry of the predictor's ``errors``."""
    match = re.fullmatch(r"instances\[(\d+)\]\.?(.*)", error["field"])
    rule, _, hint = error["detail"].partition("; ")
    detail = rule + (f", not {_shown(error['value'])}" if "value" in error else "")
    detail += f"; {hint}" if hint else ""
    if match:
        return Problem(int(match[1]), match[2], detail)
    return Problem(None, error["field"], detail)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
