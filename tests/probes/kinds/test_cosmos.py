from probes.kinds.cosmos import Cosmos
from tests.harness import Law

LAW = Law(kind=Cosmos(chain="it", settle="off"), target="http://{host}:{port}")
