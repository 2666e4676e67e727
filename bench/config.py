"""How long a probe file takes to load: written out, from lists of targets, and YAML alone.

    python -m bench.config [--probes 10000] [--rounds 3] [--json]

Prints medians of CPU seconds and their ratios; the first column is what PyYAML's own safe loader
needs for the same bytes, so that a slow machine is visible.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from probes.config.document import load_document
from probes.config.load import load


def written_out(probes: int) -> str:
    """Return a file with one entry for each probe."""
    return "version: 1\nprobes:\n" + "".join(
        f"  - name: p{number}\n    kind: http\n    target: http://127.0.0.1:9000/p{number}\n"
        f"    every: 30s\n    tags: [a, b]\n    labels: {{service: s{number}, team: web}}\n"
        "    expect: {status: 2xx, latency: {warn: 500ms, fail: 2s}}\n"
        for number in range(probes)
    )


def listed(probes: int) -> str:
    """Return a file with one entry whose targets are the probes."""
    targets = "".join(f"      - http://127.0.0.1:9000/p{number}\n" for number in range(probes))
    return f"version: 1\nprobes:\n  - name: p\n    kind: http\n    targets:\n{targets}"


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median of the CPU seconds that *work* takes."""
    taken: list[float] = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return statistics.median(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (
            ("written", written_out(chosen.probes)),
            ("listed", listed(chosen.probes)),
        ):
            path, data = Path(directory) / f"{name}.yaml", text.encode()
            path.write_bytes(data)
            figures[name] = {
                "bytes": len(data),
                "pyyaml_s": seconds(
                    lambda data=data: yaml.load(data, yaml.CSafeLoader),  # type: ignore[misc]
                    chosen.rounds,
                ),
                "document_s": seconds(
                    lambda data=data: load_document(data, "x"),  # type: ignore[misc]
                    chosen.rounds,
                ),
                "load_s": seconds(lambda path=path: load(path), chosen.rounds),  # type: ignore[misc]
            }
    if chosen.json:
        print(json.dumps(figures))
        return
    for name, row in figures.items():
        print(
            f"{name:8} {row['bytes'] / 1e6:5.2f} MB  PyYAML {row['pyyaml_s']:5.2f} s"
            f"  document {row['document_s']:5.2f} s  load {row['load_s']:5.2f} s"
            f"  load/PyYAML {row['load_s'] / row['pyyaml_s']:4.2f}"
        )


if __name__ == "__main__":
    main()
