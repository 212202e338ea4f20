"""Tasks that make what they read: a chunk is made when its turn comes, and waits for nobody."""

from collections import Counter
from typing import Any

import dask.array as da
from dask._task_spec import DataNode, GraphNode, Task, convert_legacy_graph
from dask.highlevelgraph import HighLevelGraph
from dask.sizeof import sizeof

_SMALL = 2**16  # bytes: up to here data that many tasks read is put into each of them


class Sources:
    """The tasks behind the chunks of ``data``, for tasks that make their own chunks.

    Where tasks run one after another anyhow, chunks that others make wait in memory for their
    turn, as many as a scheduler likes to make.
    """

    def __init__(self, data: da.Array) -> None:
        self.layers, self.above = dict(data.dask.layers), dict(data.dask.dependencies)
        self.owner = {key: name for name, layer in self.layers.items() for key in layer}
        whole = {key: task for layer in self.layers.values() for key, task in layer.items()}
        self.tasks: dict[Any, GraphNode] = convert_legacy_graph(whole)
        self.readers = Counter(key for task in self.tasks.values() for key in task.dependencies)
        self.read: set[str] = set()

    def inlined(self, task: Task) -> GraphNode:
        """The task, together with those whose results only it reads."""
        own, reads = [task], Counter[Any]()
        for one in own:  # grows while it is gone through
            for key in one.dependencies:
                reads[key] += 1
                if reads[key] == 1 if self._is_small(key) else self._is_own(key, reads[key]):
                    own.append(self.tasks[key])
        made = Task.fuse(*own)
        self.read |= {self.owner[key] for key in made.dependencies if key in self.owner}
        return made

    def _is_own(self, key: Any, reads: int) -> bool:
        return key in self.tasks and reads == max(self.readers[key], 1)

    def _is_small(self, key: Any) -> bool:
        """Whether it is a thing like an open store, which would tie tasks to where it lies."""
        node = self.tasks.get(key)
        return isinstance(node, DataNode) and sizeof(node.value) <= _SMALL

    def graph(self, name: str, tasks: dict[Any, Any]) -> HighLevelGraph:
        """The graph of ``tasks``, a layer upon those that they still read."""
        return HighLevelGraph({**self.layers, name: tasks}, {**self.above, name: self.read})
