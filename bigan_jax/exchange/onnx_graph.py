"""ONNX graphs of JAX programs: each operation that the networks consist of has one rule here.

A program is traced for a batch of any size, and its operations are written down one by one. What
does not depend on the inputs is computed here. Layers stay channels last, as in JAX: runtimes
cancel the transpositions around convolutions, which ONNX knows channels first alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax import export as programs
from jax.extend import core
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 17, 8  # of 2022: whatever runs ONNX reads them
BATCH = "batch"
ELEMENTWISE = {
    "add": "Add", "div": "Div", "exp": "Exp", "gt": "Greater", "logistic": "Sigmoid", "mul": "Mul",
    "neg": "Neg", "rsqrt": "Rsqrt", "sqrt": "Sqrt", "sub": "Sub", "tanh": "Tanh",
}
CALLS = {  # operations that hold a program, and the parameter that it is in
    "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr", "jit": "jaxpr",
}
Value = np.ndarray | str  # a constant, or the name of a tensor
Equation = Any  # of a jaxpr
Shape = tuple[Any, ...]


class Graph(NamedTuple):
  """What has been written so far; tensor "t3" is the output of nodes[3]."""

  nodes: list[onnx.NodeProto]
  constants: dict[str, np.ndarray]


def build(
    apply: Callable[..., dict[str, jax.Array]], inputs: Mapping[str, Shape],
    outputs: Sequence[str],
) -> onnx.ModelProto:
  """A program as an ONNX model.

  Args:
    apply: float32 arrays [B, ...] -> {name: array [B, ...]}.
    inputs: {name: shape of one}, in the order of apply's.
    outputs: those of apply's that the model gives; the others are tensors within it of that name.

  Raises:
    ValueError: an operation has no rule.
  """
  batch, = programs.symbolic_shape(BATCH)
  arguments = [jax.ShapeDtypeStruct((batch, *shape), jnp.float32) for shape in inputs.values()]
  closed, shapes = jax.make_jaxpr(apply, return_shape=True)(*arguments)
  graph = Graph([], {})
  values = _run(graph, closed.jaxpr, closed.consts, list(inputs))
  named = dict(zip(sorted(shapes), values, strict=True))  # as JAX flattens a dict
  nodes = _needed_nodes(_renamed(graph, named, outputs), outputs)
  used = {name for node in nodes for name in node.input}
  body = helper.make_graph(
      nodes, "bigan_jax", [_declared(name, shape) for name, shape in inputs.items()],
      [_declared(name, shapes[name].shape[1:]) for name in outputs],
      [numpy_helper.from_array(a, name) for name, a in graph.constants.items() if name in used],
  )
  model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)])
  model.ir_version = IR_VERSION
  onnx.checker.check_model(model, full_check=True)
  return model


def _declared(name: str, shape: Shape) -> onnx.ValueInfoProto:
  """An input or output."""
  return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [BATCH, *shape])


def _renamed(
    graph: Graph, named: dict[str, Value], outputs: Sequence[str]
) -> list[onnx.NodeProto]:
  """The nodes, tensors named as `apply` names them; outputs are tensors of their own."""
  names = {}
  for name, value in named.items():
    if name in outputs or value in names or not _is_made(value):
      graph.nodes.append(helper.make_node("Identity", [_name(graph, value)], [name]))
    else:
      names[value] = name
  for node in graph.nodes:
    for field in (node.input, node.output):
      field[:] = [names.get(name, name) for name in field]
  return graph.nodes


def _is_made(value: Value) -> bool:
  """Whether it is a node's, and no input or constant."""
  return isinstance(value, str) and value[1:].isdigit()


def _needed_nodes(
    nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]
) -> list[onnx.NodeProto]:
  """The nodes that lead to the outputs."""
  needed, kept = set(outputs), []
  for node in reversed(nodes):
    if needed & set(node.output):
      needed |= set(node.input)
      kept.append(node)
  return kept[::-1]


def _needed_equations(jaxpr: core.Jaxpr) -> list[Equation]:
  """Those that lead to its outputs: a stochastic E also computes a spread that nobody asks for."""
  variables = lambda atoms: {atom for atom in atoms if not isinstance(atom, core.Literal)}
  needed, kept = variables(jaxpr.outvars), []
  for equation in reversed(jaxpr.eqns):
    if needed & set(equation.outvars):
      needed |= variables(equation.invars)
      kept.append(equation)
  return kept[::-1]


def _run(
    graph: Graph, jaxpr: core.Jaxpr, constants: Sequence[Any], inputs: Sequence[Value]
) -> list[Value]:
  """Writes a program; the values of its outputs."""
  known = dict(zip(jaxpr.constvars, map(np.asarray, constants), strict=True))
  known |= dict(zip(jaxpr.invars, inputs, strict=True))
  read = lambda atom: np.asarray(atom.val) if isinstance(atom, core.Literal) else known[atom]
  for equation in _needed_equations(jaxpr):
    values = _write(graph, equation, [read(atom) for atom in equation.invars])
    known |= dict(zip(equation.outvars, values, strict=True))
  return [read(atom) for atom in jaxpr.outvars]


def _write(graph: Graph, equation: Equation, values: list[Value]) -> list[Value]:
  """Writes one operation; the values of its outputs."""
  name, params = equation.primitive.name, equation.params
  if name in CALLS:
    return _run(graph, params[CALLS[name]].jaxpr, params[CALLS[name]].consts, values)
  if name == "platform_index":  # Of a choice by platforms take the last, which is for any.
    return [np.int32(len(params["platforms"]) - 1)]
  if name == "cond":
    branch = params["branches"][int(values[0])]
    return _run(graph, branch.jaxpr, branch.consts, values[1:])
  if not any(isinstance(value, str) for value in values) and _static(_shape(equation.outvars[0])):
    found = equation.primitive.bind(*values, **params)
    return list(map(np.asarray, found if equation.primitive.multiple_results else [found]))
  if name in ELEMENTWISE:
    return [_node(graph, ELEMENTWISE[name], values)]
  if name not in RULES:
    raise ValueError(f"ONNX files cannot hold JAX's operation {name}: take --format=stablehlo.")
  return [RULES[name](graph, equation, *values)]


def _node(
    graph: Graph, operation: str, inputs: Sequence[Value], attributes: dict[str, Any] | None = None
) -> str:
  """Adds a node; the name of its output."""
  names, output = [_name(graph, value) for value in inputs], f"t{len(graph.nodes)}"
  graph.nodes.append(helper.make_node(operation, names, [output], **attributes or {}))
  return output


def _name(graph: Graph, value: Value) -> str:
  if isinstance(value, str):
    return value
  name = f"c{len(graph.constants)}"
  graph.constants[name] = np.ascontiguousarray(value)
  return name


def _shape(atom: Any) -> Shape:
  return atom.aval.shape


def _static(shape: Shape) -> bool:
  """Whether it says nothing of the batch."""
  return all(isinstance(size, int) for size in shape)


def _sizes(shape: Shape, batch: int) -> np.ndarray:
  """A shape as an input of ONNX, with a number in the place of the batch."""
  return np.array([size if isinstance(size, int) else batch for size in shape], np.int64)


def _reshape(graph: Graph, equation: Equation, x: str, *_: Value) -> str:
  """Of reshape, squeeze and the like."""
  shape = _shape(equation.outvars[0])
  if shape == _shape(equation.invars[0]):
    return x
  return _node(graph, "Reshape", [x, _sizes(shape, -1)])


def _broadcast(graph: Graph, equation: Equation, x: Value, *_: Value) -> Value:
  """Adds axes of length 1; what reads them repeats them as it needs to."""
  shape, axes = _shape(equation.outvars[0]), equation.params["broadcast_dimensions"]
  had = dict(zip(axes, _shape(equation.invars[0]), strict=True))
  kept = tuple(had.get(axis, 1) for axis in range(len(shape)))
  if isinstance(x, np.ndarray):
    return x.reshape(kept)
  if kept == _shape(equation.invars[0]):
    return x
  return _node(graph, "Reshape", [x, _sizes(kept, -1)])


def _max(graph: Graph, equation: Equation, a: Value, b: Value) -> str:
  del equation
  if isinstance(b, np.ndarray) and not b.any():
    return _node(graph, "Relu", [a])
  return _node(graph, "Max", [a, b])


def _select(graph: Graph, equation: Equation, which: str, no: Value, yes: Value) -> str:
  """where(which, yes, no); of where(x > 0, x, slope * x) a leaky ReLU."""
  del equation
  made = [graph.nodes[int(v[1:])] if _is_made(v) else onnx.NodeProto() for v in (which, no)]
  if [node.op_type for node in made] == ["Greater", "Mul"]:
    constant = lambda node: [graph.constants[n] for n in node.input if n in graph.constants]
    bounds, slopes = map(constant, made)
    reads = all(yes in node.input for node in made) and made[0].input[0] == yes
    if reads and [a.size for a in bounds + slopes] == [1, 1] and not bounds[0].any():
      return _node(graph, "LeakyRelu", [yes], {"alpha": slopes[0].item()})
  return _node(graph, "Where", [which, yes, no])


def _product(graph: Graph, equation: Equation, x: Value, kernel: Value) -> str:
  """[B, n] times [n, m]."""
  contracted, batched = equation.params["dimension_numbers"]
  ranks = tuple(len(_shape(atom)) for atom in equation.invars)
  if ranks != (2, 2) or tuple(map(tuple, contracted)) != ((1,), (0,)) or any(batched):
    raise ValueError("ONNX files hold products of two matrices alone: take --format=stablehlo.")
  return _node(graph, "MatMul", [x, kernel])


def _convolution(graph: Graph, equation: Equation, x: Value, kernel: np.ndarray) -> str:
  """A correlation, or the transpose of one: that of an input with zeros between its pixels."""
  params = equation.params
  images, kernels, results = params["dimension_numbers"]
  x = _node(graph, "Transpose", [x], {"perm": images})
  kernel = kernel.transpose(kernels)  # [outputs, inputs per group, rows, columns]
  low, high = (list(map(int, side)) for side in zip(*params["padding"], strict=True))
  if params["lhs_dilation"] == (1, 1):
    y = _node(graph, "Conv", [x, kernel], {
        "strides": params["window_strides"], "pads": low + high,
        "group": params["feature_group_count"],
    })
  else:
    last = [size - 1 for size in kernel.shape[2:]]
    pads = [n - p for n, p in zip(2 * last, low + high, strict=True)]
    if params["feature_group_count"] > 1 or params["window_strides"] != (1, 1) or min(pads) < 0:
      raise ValueError("ONNX cannot hold this transposed convolution: take --format=stablehlo.")
    y = _node(graph, "ConvTranspose", [x, kernel.swapaxes(0, 1)[:, :, ::-1, ::-1]],
              {"strides": params["lhs_dilation"], "pads": pads})
  return _node(graph, "Transpose", [y], {"perm": [int(i) for i in np.argsort(results)]})


def _max_pool(graph: Graph, equation: Equation, x: str) -> str:
  """Of [B, H, W, C] over H and W; padding never wins, in JAX (-inf) as in ONNX."""
  params = equation.params
  low, high = (list(map(int, side)) for side in zip(*params["padding"][1:3], strict=True))
  x = _node(graph, "Transpose", [x], {"perm": [0, 3, 1, 2]})
  y = _node(graph, "MaxPool", [x], {
      "kernel_shape": params["window_dimensions"][1:3], "pads": low + high,
      "strides": params["window_strides"][1:3],
  })
  return _node(graph, "Transpose", [y], {"perm": [0, 2, 3, 1]})


def _concatenate(graph: Graph, equation: Equation, *parts: Value) -> str:
  return _node(graph, "Concat", parts, {"axis": equation.params["dimension"]})


def _nothing(graph: Graph, equation: Equation, x: str, *_: Value) -> str:
  """Of padding by nothing, and of types that stay as they are."""
  del graph
  before, after = equation.invars[0].aval, equation.outvars[0].aval
  if (before.shape, before.dtype) != (after.shape, after.dtype):
    raise ValueError(f"ONNX files cannot hold JAX's {equation.primitive.name} of {before} to "
                     f"{after}: take --format=stablehlo.")
  return x


RULES: dict[str, Callable[..., Value]] = {
    "broadcast_in_dim": _broadcast, "concatenate": _concatenate,
    "conv_general_dilated": _convolution, "convert_element_type": _nothing,
    "dot_general": _product, "max": _max, "pad": _nothing, "reduce_window_max": _max_pool,
    "reshape": _reshape, "select_n": _select, "squeeze": _reshape,
}
