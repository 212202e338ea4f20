"""Vectors of 64 bytes as values inside of kernels: ``+ - *`` and the lesser of two.

A compiler does not find a loop by itself that handles several series at once and keeps its
state in registers. These vectors say it. On a machine with shorter vectors each becomes
several. A product and a sum may be rounded once instead of twice.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

BYTES = 64
operation: Any = intrinsic  # Any, because numba's type demands the context as an argument


class Vector(types.Type):
    """As many numbers of one type as fit."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.lanes = dtype, BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        number = manager.lookup(vector.dtype).get_value_type()
        super().__init__(manager, vector, ir.VectorType(number, vector.lanes))


def _address(context: Any, builder: Any, vector: Vector, kind: Any, args: Any) -> Any:
    data = context.make_array(kind)(context, builder, args[0]).data
    here = builder.gep(data, [args[1]])
    return builder.bitcast(here, context.get_value_type(vector).as_pointer())


@operation
def load(typing_context, array, index):
    """The vector that begins at ``array[index]``; the array has one contiguous axis."""
    vector = Vector(array.dtype)

    def generate(context, builder, signature, args):
        out = builder.load(_address(context, builder, vector, array, args))
        out.align = array.dtype.bitwidth // 8
        return out

    return vector(array, index), generate


@operation
def store(typing_context, array, index, vector):
    """Write a vector to ``array[index:]``."""

    def generate(context, builder, signature, args):
        out = builder.store(args[2], _address(context, builder, vector, array, args))
        out.align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, index, vector), generate


@operation
def lesser(typing_context, a, b):
    """The lesser of two, lane by lane; ``b`` where one of them is NaN."""

    def generate(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return a(a, b), generate


def _arithmetic(symbol: Any, instruction: str) -> None:
    @operation
    def compiled(typing_context, a, b):
        def generate(context, builder, signature, args):
            return getattr(builder, instruction)(*args, flags=("contract",))

        return a(a, b), generate

    @overload(symbol)
    def both(a, b):
        if isinstance(a, Vector) and a == b:
            return lambda a, b: compiled(a, b)
        return None


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
