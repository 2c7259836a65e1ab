"""What an item's neighbourhood says of it: a heterogeneous graph network of two layers, by torch-geometric.

Items speak to the entities that they share, entities and related items to the item. The item's own vector is
no part of its message (but with GCN, whose layers add it): v_i' = v_i + gate * v_r joins the two outside.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

with warnings.catch_warnings():  # torch_geometric marks its operations by what torch has deprecated
    warnings.simplefilter("ignore", FutureWarning)
    from torch_geometric.data import HeteroData as HeteroData
    from torch_geometric.nn import GATConv, GraphConv, SAGEConv

from models.graph.layout import EDGES, GOES, IN, OF, READS, RELATIONS, Edge, GraphKind

_SPREAD = 0.1


class GraphNetwork(nn.Module):
    """From vectors of items [n, D] and relations of entities [m] to what is related to the first items.

    `kind`: GraphSAGE (Hamilton et al. 2017, arXiv:1706.02216), GCN (Kipf and Welling 2017, arXiv:1609.02907)
    or GAT (Velickovic et al. 2018, arXiv:1710.10903), for each kind of edge one.
    """

    def __init__(self, kind: GraphKind, dimensions: int, seed: int) -> None:
        """Know nothing; the seed decides where the weights start."""
        super().__init__()
        self._kind = kind
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.relations = nn.Embedding(RELATIONS, dimensions)
            nn.init.normal_(self.relations.weight, std=_SPREAD)
            self.layers = nn.ModuleDict({edge: _convolution(kind, dimensions) for _, edge, _ in EDGES})
        _remove_generated_files()

    def forward(self, data: HeteroData, items: Tensor, relations: Tensor, count: int) -> Tensor:
        """Return v_r float32[count, D] of the first items [n, D] of sampled neighbourhoods."""
        entities = self.relations(relations)  # [m] -> [m, D]
        entities = torch.tanh(entities + self._pass(IN, data, items, entities))  # [m, D]
        told = self._pass(OF, data, entities, items[:count])
        told = told + self._pass(GOES, data, items, items[:count])
        return told + self._pass(READS, data, items, items[:count])  # [count, D]

    def _pass(self, kind: Edge, data: HeteroData, sources: Tensor, targets: Tensor) -> Tensor:
        """Return what targets [t, D] hear from sources [s, D] along one kind of edge, [t, D]."""
        edges: Tensor = data[kind].edge_index  # [2, edges]
        more = {"edge_weight": _shares(edges)} if self._kind == "gcn" else {}
        heard: Tensor = self.layers[kind[1]](
            (sources, targets), edges, size=(len(sources), len(targets)), **more
        )
        return heard


def _shares(edges: Tensor) -> Tensor:
    """Return 1 / sqrt(degrees of both ends) of every edge, [edges]."""
    source, target = (torch.bincount(ends)[ends].float() for ends in edges)
    return (source * target).rsqrt()


def _convolution(kind: GraphKind, dimensions: int) -> nn.Module:
    """Return a layer that passes vectors along one kind of edge."""
    sizes = (dimensions, dimensions)
    layer: nn.Module
    if kind == "gat":
        layer = GATConv(sizes, dimensions, add_self_loops=False)
    elif kind == "gcn":
        layer = GraphConv(sizes, dimensions, aggr="sum")
    else:
        layer = SAGEConv(sizes, dimensions, root_weight=False)
    return layer


def _remove_generated_files() -> None:
    """Remove the code that torch_geometric writes for each kind of layer: it is loaded by now."""
    for name, module in list(sys.modules.items()):
        if name.startswith("torch_geometric.nn.conv.") and name.endswith(("_propagate", "_edge_updater")):
            file = Path(module.__file__ or "")
            if file.parent == Path(tempfile.gettempdir()):
                file.unlink(missing_ok=True)
