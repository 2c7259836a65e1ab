"""What items have in common and who goes with whom, as a graph: paths through it, and a network over it."""

from models.graph.layout import RELATIONS, Graph
from models.graph.paths import LOOK_BACK, PathCounter, find_path
from models.graph.relations import Relations

__all__ = ["LOOK_BACK", "RELATIONS", "Graph", "PathCounter", "Relations", "find_path"]
