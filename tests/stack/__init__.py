"""A stack of real parts for tests and benchmarks, from Maven Central and without docker.

``real_stack`` runs it in a ``with`` block, ``python -m tests.stack`` by hand. What cannot be had on a machine raises
``Missing`` with the reason.
"""

from tests.stack.download import Missing
from tests.stack.real import RealStack, real_stack

__all__ = ["Missing", "RealStack", "real_stack"]
