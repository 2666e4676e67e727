from typing import Any

from probes.kinds.evm import Evm
from tests.harness import Law


def evm(**keys: Any) -> Evm:
    """The kind with *keys* as a probe file has them."""
    return Evm.model_validate({"chain": "it", "chain_id": 1, "settle": "off", **keys})


LAW = Law(
    kind=evm(),
    target="http://{host}:{port}/",
    secret=lambda canary: evm(
        auth={"header": {"credentials": canary}},
        reference=[{"name": "other", "http": f"http://127.0.0.1:9/{canary}"}],
    ),
    secret_target="http://user:{canary}@{host}:{port}/v2/{canary}",
)
