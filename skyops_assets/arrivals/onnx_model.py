"""A fitted pipeline as ONNX, for services that are to predict without Python's model libraries.

Belongs here: writing the graph and asking it. Does not: fitting (`train`), keeping it (`registry`).

The graph takes one column (rows x 1) per name in FEATURES: text for categories, with an empty
string where there is none, and double for the rest, with NaN. It gives ``transit_min``, rows x 1.
It is written here and not by skl2onnx, which keeps thresholds as 32-bit floats: a value near one
goes another way, and answers were up to 1.9 minutes off on LSZH 2019-03. Here all is double.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals import train
from skyops_assets.arrivals.features import CATEGORICAL, FEATURES
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TOLERANCE_MIN = 0.001
"""By how much the two may differ; the last step's output is a 32-bit float (about 1e-6 min)."""

OUTPUT = "transit_min"
_OPSETS = {"": 21, "ai.onnx.ml": 3}
_IR_VERSION = 10


def export(pipeline: Any) -> bytes:
    """The ONNX graph of a pipeline that `train.fit` made.

    Raises:
        SkyOpsError: the pipeline has parts that this does not know how to write.
    """
    import numpy as np
    from onnx import TensorProto, checker, helper, numpy_helper

    columns, model = pipeline.named_steps["columns"], pipeline.named_steps["model"]
    parts = {name: (step, list(names)) for name, step, names in columns.transformers_}
    if set(parts) - {"remainder"} != {"category", "number"}:
        raise SkyOpsError(
            f"The pipeline's columns are {', '.join(parts)}, and ONNX export knows category and "
            "number. Extend arrivals/onnx_model.py."
        )
    encoder, names = parts["category"]
    nodes, tables, joined = [], [], []
    for place, name in enumerate(names):
        known, table = _codes(encoder, place)
        tables.append(numpy_helper.from_array(table, f"{name}_table"))
        nodes += [
            helper.make_node(
                "LabelEncoder",
                [name],
                [f"{name}_code"],
                domain="ai.onnx.ml",
                keys_strings=known,
                values_int64s=list(range(len(known))),
                default_int64=len(known),
            ),
            helper.make_node("Gather", [f"{name}_table", f"{name}_code"], [f"{name}_rows"], axis=0),
            helper.make_node("Squeeze", [f"{name}_rows", "middle"], [f"{name}_columns"]),
        ]
        joined.append(f"{name}_columns")
    tables.append(numpy_helper.from_array(np.array([1], dtype="int64"), "middle"))
    nodes += [
        helper.make_node("Concat", [*joined, *parts["number"][1]], ["columns"], axis=1),
        helper.make_node(
            "TreeEnsembleRegressor", ["columns"], [OUTPUT], domain="ai.onnx.ml", **_trees(model)
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "arrivals",
        [
            helper.make_tensor_value_info(
                name,
                TensorProto.STRING if name in CATEGORICAL else TensorProto.DOUBLE,
                [None, 1],
            )
            for name in FEATURES
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
        tables,
    )
    made = helper.make_model(
        graph,
        producer_name="skyops",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in _OPSETS.items()],
    )
    checker.check_model(made)
    return bytes(made.SerializeToString(deterministic=True))


def predict(content: bytes, frame: pd.DataFrame) -> np.ndarray:
    """Minutes for each row of a canonical frame, by ONNX Runtime on one thread."""
    import numpy as np
    import onnxruntime

    if not len(frame):
        return np.empty(0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # It warns of every feature that no tree asks for.
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (minutes,) = session.run([OUTPUT], inputs(frame))
    return np.asarray(minutes, dtype="float64").ravel()


def difference(content: bytes, model: Any, frame: pd.DataFrame) -> float:
    """The largest difference (minutes) between ONNX and the pipeline.

    On a canonical frame's rows as they are, with every third value missing, and with categories
    that training never saw.
    """
    import numpy as np
    import pandas as pd

    gaps, strange = frame.copy(), frame.copy()
    for place, name in enumerate(FEATURES):
        missing = np.arange(len(frame)) % 3 == place % 3
        gaps[name] = frame[name].mask(missing, None if name in CATEGORICAL else np.nan)
    for name in CATEGORICAL:
        strange[name] = "never seen"
    asked = pd.concat([frame, gaps, strange], ignore_index=True)
    return float(np.max(np.abs(predict(content, asked) - train.predict(model, asked)), initial=0))


def inputs(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The features of a canonical frame as the graph takes them."""
    given = {}
    for name in FEATURES:
        column = frame[name]
        if name in CATEGORICAL:
            values = column.astype(object).where(column.notna(), "").to_numpy(dtype=object)
        else:
            values = column.to_numpy(dtype="float64")
        given[name] = values.reshape(-1, 1)
    return given


def _codes(encoder: Any, place: int) -> tuple[list[str], np.ndarray]:
    """The categories of one column, and what the encoder makes of each; the last row: of any other.

    Asking the encoder itself also covers rare categories that share a column, and None.
    """
    import pandas as pd

    categories = list(encoder.categories_[place])
    asked = pd.DataFrame(
        "\x00 no such category",
        index=range(len(categories) + 1),
        columns=encoder.feature_names_in_,
        dtype=object,
    )
    asked.iloc[:-1, place] = categories
    rare = encoder.infrequent_categories_
    widths = [
        len(all_of_it) - (0 if few is None else len(few) - 1)
        for all_of_it, few in zip(encoder.categories_, rare, strict=True)
    ]
    first = sum(widths[:place])
    table = encoder.transform(asked)[:, first : first + widths[place]].astype("float64")
    return ["" if value is None else value for value in categories], table


def _trees(model: Any) -> dict[str, Any]:
    """The attributes of the node that holds every tree, its numbers as double."""
    import numpy as np
    from onnx import numpy_helper

    trees = [predictor.nodes for (predictor,) in model._predictors]
    nodes = np.concatenate(trees)
    if nodes["is_categorical"].any():
        raise SkyOpsError(
            "The model has trees that split on categories, and ONNX export knows numbers only. "
            "Extend arrivals/onnx_model.py."
        )
    sizes = [len(tree) for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    is_leaf = nodes["is_leaf"].astype(bool)

    def numbers(name: str, values: np.ndarray) -> Any:
        return numpy_helper.from_array(np.asarray(values, dtype="float64").ravel(), name)

    return {
        "n_targets": 1,
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": np.where(is_leaf, 0, nodes["feature_idx"]).tolist(),
        "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values_as_tensor": numbers(
            "thresholds", np.where(is_leaf, 0.0, nodes["num_threshold"])
        ),
        "nodes_truenodeids": np.where(is_leaf, 0, nodes["left"]).tolist(),
        "nodes_falsenodeids": np.where(is_leaf, 0, nodes["right"]).tolist(),
        "nodes_missing_value_tracks_true": np.where(
            is_leaf, 0, nodes["missing_go_to_left"]
        ).tolist(),
        "target_treeids": tree_ids[is_leaf].tolist(),
        "target_nodeids": node_ids[is_leaf].tolist(),
        "target_ids": [0] * int(is_leaf.sum()),
        "target_weights_as_tensor": numbers("weights", nodes["value"][is_leaf]),
        "base_values_as_tensor": numbers("base", model._baseline_prediction),
    }
