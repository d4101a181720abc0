"""Ray as a run starts it, and the processes of replicas on it."""

import psutil

from infra.pool import LOCAL_RAY


def connect() -> None:
    """Start Ray and connect to it, unless that was done."""
    import ray

    if not ray.is_initialized():
        ray.init(address="local", num_cpus=2, log_to_driver=False, logging_level="ERROR", **LOCAL_RAY)


def actors() -> list[psutil.Process]:
    """The processes of replicas, started by this process's Ray."""
    return [p for p in psutil.Process().children(recursive=True) if "ray::Replica" in " ".join(p.cmdline())]
