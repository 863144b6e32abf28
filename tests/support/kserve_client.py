"""Asks a predictor with KServe's own client, run by the Python of build/kserve.

Reads cases as JSON from standard input; writes for each what the client returned, or its error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import (  # type: ignore[import-not-found]
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)


def _input(name: str, shape: list[int], datatype: str, data: list[Any], binary: bool) -> Any:
    tensor = InferInput(name, shape, datatype)
    if binary:
        kind = {"FP64": np.float64, "FP32": np.float32, "INT32": np.int32}[datatype]
        # Its default.
        tensor.set_data_from_numpy(np.array(data, dtype=kind).reshape(shape))
    else:
        tensor.data = data
    return tensor


async def _answer(client: Any, url: str, case: dict[str, Any]) -> Any:
    model = case.get("model", "riskpredictor")
    if case["call"] != "infer":
        model_only = [model] if case["call"] == "is_model_ready" else []
        return await getattr(client, case["call"])(url, *model_only)
    inputs = [_input(**each) for each in case["inputs"]]
    asked = InferRequest(model, inputs, request_id="r-1", parameters=case.get("parameters"))
    options = {"model_name": model, "headers": case.get("headers")}
    if "path" in case:
        # What the client calls an inference graph is any other path.
        url, options["is_graph_endpoint"] = url + case["path"], True
    answer = await client.infer(url, asked, **options)
    outputs = {each.name: each.as_numpy() for each in answer.outputs}
    return {
        name: [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
        for name, values in outputs.items()
    }


async def main() -> None:
    """Answer all cases with one client."""
    answers = []
    async with (
        InferenceRESTClient(RESTConfig(protocol="v1")) as old,
        InferenceRESTClient(RESTConfig(protocol="v2")) as new,
    ):
        for url, case in json.load(sys.stdin):
            client = old if case.get("protocol") == "v1" else new
            try:
                answers.append(await _answer(client, url, case))
            except Exception as error:
                answers.append({"error": str(error), "type": type(error).__name__})
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
