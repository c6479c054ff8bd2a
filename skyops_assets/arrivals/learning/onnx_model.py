"""A fitted pipeline as ONNX, for services that are to predict without Python's model libraries.

Belongs here: writing the graph and asking it. Does not: fitting (`train`), keeping it (`registry`).

The graph takes one column (rows x 1) per name in FEATURES: text for categories, with an empty
string where there is none, and double for the rest, with NaN. It gives ``transit_min``, rows x 1,
and where the model has an interval ``low_min`` and ``high_min``, as `fit.predict_interval` does.
It is written here and not by skl2onnx, which keeps thresholds as 32-bit floats: a value near one
goes another way, and answers were up to 1.9 minutes off on LSZH 2019-03. Here all is double.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skyops_assets.arrivals.features import CATEGORICAL, FEATURES, MIN_TRANSIT_MIN
from skyops_assets.arrivals.learning import fit, interval
from skyops_assets.errors import SkyOpsError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TOLERANCE_MIN = 0.001
"""By how much the two may differ; the trees' output is a 32-bit float (about 1e-6 min)."""

_OPSETS = {"": 21, "ai.onnx.ml": 3}
_IR_VERSION = 10


def export(pipeline: Any) -> bytes:
    """The ONNX graph of a pipeline that `fit.fit` made.

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
    graph = _Graph()
    graph.constant("middle", np.array([1], dtype="int64"))
    for place, name in enumerate(names):
        known, table = _codes(encoder, place)
        graph.constant(f"{name}_table", table)
        graph.node(
            "LabelEncoder",
            [name],
            f"{name}_code",
            domain="ai.onnx.ml",
            keys_strings=known,
            values_int64s=list(range(len(known))),
            default_int64=len(known),
        )
        graph.node("Gather", [f"{name}_table", f"{name}_code"], f"{name}_rows", axis=0)
        graph.node("Squeeze", [f"{name}_rows", "middle"], f"{name}_columns")
    step, numbers = parts["number"]
    graph.node("Concat", numbers, "numbers", axis=1)
    categories = [f"{name}_columns" for name in names]
    graph.node("Concat", [*categories, _numbers(graph, step)], "columns", axis=1)
    outputs = [_minutes(graph, model, fit.OUTPUTS[0])]
    if fitted := interval.of(pipeline):
        outputs += _bounds(graph, fitted)
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "arrivals",
            [
                helper.make_tensor_value_info(
                    name,
                    TensorProto.STRING if name in CATEGORICAL else TensorProto.DOUBLE,
                    [None, 1],
                )
                for name in FEATURES
            ],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, [None, 1]) for o in outputs],
            [numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
        ),
        producer_name="skyops",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in _OPSETS.items()],
    )
    checker.check_model(made)
    return bytes(made.SerializeToString(deterministic=True))


def outputs(content: bytes) -> tuple[str, ...]:
    """What a graph gives: `fit.OUTPUTS`, without an interval only the first.

    Raises:
        SkyOpsError: it is no whole graph.
    """
    return tuple(output.name for output in session(content).get_outputs())


def predict(content: bytes, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """As `fit.predict_all`, by ONNX Runtime on one thread.

    Raises:
        SkyOpsError: it is no whole graph.
    """
    return load(content)(frame)


def load(content: bytes) -> Callable[[pd.DataFrame], dict[str, np.ndarray]]:
    """`predict` for frame after frame.

    Raises:
        SkyOpsError: it is no whole graph.
    """
    asked = session(content)
    names = [output.name for output in asked.get_outputs()]

    def ask(frame: pd.DataFrame) -> dict[str, np.ndarray]:
        import numpy as np

        found = asked.run(names, inputs(frame)) if len(frame) else [np.empty(0)] * len(names)
        return {n: np.asarray(v, "float64").ravel() for n, v in zip(names, found, strict=True)}

    return ask


def session(content: bytes) -> Any:
    """ONNX Runtime's session of a graph, on one thread.

    Raises:
        SkyOpsError: it is no whole graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # It warns of every feature that no tree asks for.
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # Each fault of a file has a class of its own.
        raise SkyOpsError(
            f"The ONNX graph of {len(content):,} bytes cannot be loaded ({error}). Restore "
            "MLflow's artifacts, or materialise ml/training_runs again: it writes the challenger's."
        ) from error


def difference(content: bytes, model: Any, frame: pd.DataFrame) -> float:
    """The largest difference (minutes) between ONNX and the pipeline, of all that they say.

    On a canonical frame's rows as they are, with every third value missing, and with categories
    that training never saw. Infinite where one has an interval and the other has none.
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
    return fit.max_abs_difference(predict(content, asked), fit.predict_all(model, asked))


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


class _Graph:
    """Nodes and constants in the order in which they were added."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, name: str, values: Any) -> str:
        import numpy as np

        self.constants[name] = np.asarray(values)
        return name

    def node(self, kind: str, given: list[str], made: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, given, [made], **attributes))
        return made


def _numbers(graph: _Graph, step: Any) -> str:
    """The numeric columns as the model takes them: as they are, or as `recipes` bounds them."""
    from onnx import TensorProto
    from sklearn.pipeline import Pipeline

    if not isinstance(step, Pipeline):
        return "numbers"
    imputer, bounded, scaled = (part for _, part in step.steps)
    graph.node("IsNaN", ["numbers"], "is_missing")
    graph.constant("medians", imputer.statistics_.reshape(1, -1))
    joined = [graph.node("Where", ["is_missing", "medians", "numbers"], "filled")]
    if len(imputer.indicator_.features_):
        graph.constant("marked", imputer.indicator_.features_.astype("int64"))
        graph.node("Gather", ["is_missing", "marked"], "marks", axis=1)
        joined.append(graph.node("Cast", ["marks"], "marks_columns", to=TensorProto.DOUBLE))
    graph.node("Concat", joined, "unbounded", axis=1)
    graph.constant("bound_scale", bounded.scale_)
    graph.constant("bound_min", bounded.min_)
    graph.constant("least", 0.0)
    graph.constant("most", 1.0)
    graph.node("Mul", ["unbounded", "bound_scale"], "unshifted")
    graph.node("Add", ["unshifted", "bound_min"], "unclipped")
    graph.node("Clip", ["unclipped", "least", "most"], "clipped")
    graph.constant("means", scaled.mean_)
    graph.constant("deviations", scaled.scale_)
    graph.node("Sub", ["clipped", "means"], "centred")
    return graph.node("Div", ["centred", "deviations"], "scaled")


def _minutes(graph: _Graph, model: Any, made: str) -> str:
    """From ``columns`` to the minutes `made`, by the kind of model that a recipe makes."""
    from onnx import TensorProto
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge

    if isinstance(model, HistGradientBoostingRegressor):
        trees = _boosted(model)
        return graph.node("TreeEnsembleRegressor", ["columns"], made, domain="ai.onnx.ml", **trees)
    if not isinstance(model, TransformedTargetRegressor):
        raise SkyOpsError(
            f"The model is a {type(model).__name__}, which ONNX export does not know. Extend "
            "arrivals/onnx_model.py."
        )
    inner = model.regressor_
    if isinstance(inner, Ridge):
        graph.constant(f"{made}_weights", inner.coef_.reshape(-1, 1))
        graph.constant(f"{made}_intercept", float(inner.intercept_))
        graph.node("MatMul", ["columns", f"{made}_weights"], f"{made}_weighted")
        graph.node("Add", [f"{made}_weighted", f"{made}_intercept"], f"{made}_logarithm")
        graph.node("Exp", [f"{made}_logarithm"], f"{made}_double")
        return graph.node("Cast", [f"{made}_double"], made, to=TensorProto.FLOAT)
    # Forests compare 32-bit values with 64-bit thresholds.
    graph.node("Cast", ["columns"], f"{made}_rounded", to=TensorProto.FLOAT)
    graph.node("Cast", [f"{made}_rounded"], f"{made}_columns", to=TensorProto.DOUBLE)
    trees = _forest(inner)
    graph.node(
        "TreeEnsembleRegressor",
        [f"{made}_columns"],
        f"{made}_logarithm",
        domain="ai.onnx.ml",
        **trees,
    )
    return graph.node("Exp", [f"{made}_logarithm"], made)


def _bounds(graph: _Graph, fitted: dict[str, Any]) -> list[str]:
    """As `interval.predict`; in 32 bits, as the minutes are, so that these always lie within."""
    import numpy as np

    minutes, low, high = fit.OUTPUTS
    graph.constant("correction", np.array(fitted["correction_min"], dtype="float32"))
    graph.constant("shortest", np.array(MIN_TRANSIT_MIN, dtype="float32"))
    for name, kind in ((low, "Sub"), (high, "Add")):
        quantile = _minutes(graph, fitted[name.removesuffix("_min")], f"{name}_quantile")
        graph.node(kind, [quantile, "correction"], f"{name}_corrected")
    graph.node("Max", [f"{low}_corrected", "shortest"], f"{low}_bounded")
    graph.node("Min", [f"{low}_bounded", minutes], low)
    graph.node("Max", [f"{high}_corrected", minutes], high)
    return [low, high]


def _boosted(model: Any) -> dict[str, Any]:
    """The attributes of the node that holds every tree of a gradient boosting."""
    import numpy as np

    trees = [predictor.nodes for (predictor,) in model._predictors]
    nodes = np.concatenate(trees)
    if nodes["is_categorical"].any():
        raise SkyOpsError(
            "The model has trees that split on categories, and ONNX export knows numbers only. "
            "Extend arrivals/onnx_model.py."
        )
    return _trees(
        [len(tree) for tree in trees],
        is_leaf=nodes["is_leaf"].astype(bool),
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        left=nodes["left"],
        right=nodes["right"],
        missing_left=nodes["missing_go_to_left"],
        value=nodes["value"],
        base=model._baseline_prediction,
    )


def _forest(model: Any) -> dict[str, Any]:
    """As `_boosted`, of a random forest or extra trees."""
    import numpy as np

    trees = [each.tree_ for each in model.estimators_]

    def every(name: str) -> np.ndarray:
        return np.concatenate([np.ravel(getattr(tree, name)) for tree in trees])

    left = every("children_left")
    return _trees(
        [tree.node_count for tree in trees],
        is_leaf=left < 0,
        feature=every("feature"),
        threshold=every("threshold"),
        left=left,
        right=every("children_right"),
        missing_left=every("missing_go_to_left"),
        value=every("value") / len(trees),
        base=0.0,
    )


def _trees(
    sizes: list[int],
    *,
    is_leaf: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    missing_left: np.ndarray,
    value: np.ndarray,
    base: Any,
) -> dict[str, Any]:
    """The attributes of a node with trees of so many nodes each; its numbers are double."""
    import numpy as np
    from onnx import numpy_helper

    tree_ids = np.repeat(np.arange(len(sizes)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])

    def numbers(name: str, values: Any) -> Any:
        return numpy_helper.from_array(np.asarray(values, dtype="float64").ravel(), name)

    return {
        "n_targets": 1,
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": np.where(is_leaf, 0, feature).tolist(),
        "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values_as_tensor": numbers("thresholds", np.where(is_leaf, 0.0, threshold)),
        "nodes_truenodeids": np.where(is_leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(is_leaf, 0, right).tolist(),
        "nodes_missing_value_tracks_true": np.where(is_leaf, 0, missing_left).tolist(),
        "target_treeids": tree_ids[is_leaf].tolist(),
        "target_nodeids": node_ids[is_leaf].tolist(),
        "target_ids": [0] * int(is_leaf.sum()),
        "target_weights_as_tensor": numbers("weights", value[is_leaf]),
        "base_values_as_tensor": numbers("base", base),
    }
