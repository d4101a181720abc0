"""A world of little videos whose whole truth is known: drawn from a seed, rendered, written to disk.

It stands in for a crawl where there is none (demo, tests, benchmarks): coloured shapes move over
plain and textured backgrounds, the camera pans, tilts and zooms, shots are cut together.
"""
