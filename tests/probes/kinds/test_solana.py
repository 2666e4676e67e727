from probes.kinds.solana import Solana
from tests.harness import Law

LAW = Law(kind=Solana(chain="it", settle="off"), target="http://{host}:{port}")
