"""What a chain group remembers from run to run: frozen, bounded, replaced as a whole.

    Memory
    ├── views      what the judge needs: last heads, streaks, block times (`evaluate`)
    ├── quotas     endpoint -> tokens, back-off, when it was asked what (`plan`)
    ├── books      counters, histograms, gauges that have not expired (`books`)
    ├── survey     what the dialect needs: cursor of the contract scan, gas baseline
    ├── indexers   name -> last height, and since when
    └── health     what load balancers are told

Knows how none of them is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from probes.chain.books.books import Books
from probes.chain.judge.views import Views
from probes.chain.model import EndpointHealth
from probes.chain.plan import Quota


@dataclass(frozen=True, slots=True)
class Memory:
    """See the module."""

    views: Views = field(default_factory=Views)
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    books: Books = field(default_factory=Books)
    survey: object = None
    indexers: Mapping[str, object] = field(default_factory=dict[str, object])
    health: tuple[EndpointHealth, ...] = ()
