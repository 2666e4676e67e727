"""A real gRPC server with its real health service: plain, TLS, and TLS with client certificates.

Run as a process of its own: ``python -m tests.servers.grpc_health CERTIFICATES``. Services it
knows, beside the whole server (SERVING):

    down        NOT_SERVING
    odd         UNKNOWN
    guarded     SERVING for whoever brings the metadata of `CREDENTIALS`, else UNAUTHENTICATED
    stuck       no answer before the caller's deadline
"""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.servers.process import Server, start

ROOT = Path(__file__).resolve().parents[2]
CREDENTIALS = (
    ("x-token", "s3cret-of-grpc"),
    ("x-many", "a"),
    ("x-many", "b"),
    ("x-bin", b"\0\xff"),
)


class GrpcHealth(Server):
    """A running server. ``port`` is clear text."""

    tls_port: int = 0
    """TLS."""
    mutual_port: int = 0
    """TLS that wants a client certificate."""
    six_port: int = 0
    """Clear text on ::1."""


def start_grpc_health(directory: Path, certificates: Path) -> GrpcHealth:
    """Start the server; it tells its ports in its log."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runpy; "
        f"runpy.run_module('tests.servers.grpc_health', run_name='__main__')"
    )
    ports: dict[str, int] = {}

    def ready() -> None:
        ports.update(json.loads((directory / "log").read_text().partition("\n")[0]))

    running = start([sys.executable, "-c", code, certificates], 0, directory, ready=ready)
    server = GrpcHealth(running.process, ports["plain"], directory)
    server.tls_port, server.mutual_port = ports["tls"], ports["mutual"]
    server.six_port = ports["six"]
    return server


def main(certificates: Path) -> None:
    """Serve until told to end."""
    import grpc  # type: ignore[import-untyped] # ships no types
    from grpc_health.v1 import (  # type: ignore[import-untyped] # ships no types
        health,
        health_pb2,
        health_pb2_grpc,
    )

    class Servicer(health.HealthServicer):  # type: ignore[misc] # ships no types
        def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's word
            if request.service == "guarded":
                if not set(CREDENTIALS) <= {
                    (key, value) for key, value in context.invocation_metadata()
                }:
                    context.abort(grpc.StatusCode.UNAUTHENTICATED, "want a token é")
                return health_pb2.HealthCheckResponse(status=1)
            if request.service == "stuck":
                over = threading.Event()
                context.add_callback(over.set)
                over.wait()
            return super().Check(request, context)

    servicer = Servicer()
    servicer.set("down", health_pb2.HealthCheckResponse.NOT_SERVING)
    servicer.set("odd", health_pb2.HealthCheckResponse.UNKNOWN)
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    pair = [((certificates / f"server.{it}").read_bytes()) for it in ("key", "pem")]
    tls = grpc.ssl_server_credentials([tuple(pair)])
    mutual = grpc.ssl_server_credentials(
        [tuple(pair)], (certificates / "ca.pem").read_bytes(), require_client_auth=True
    )
    ports = {
        "six": server.add_insecure_port("[::1]:0"),
        "plain": server.add_insecure_port("127.0.0.1:0"),
        "tls": server.add_secure_port("127.0.0.1:0", tls),
        "mutual": server.add_secure_port("127.0.0.1:0", mutual),
    }
    server.start()
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
