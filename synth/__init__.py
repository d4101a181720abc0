"""Makes content: probes, scans and cuts videos, captions them, writes queries, assembles the seven tasks."""
