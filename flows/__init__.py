"""The only place that knows Prefect: thin flows that wire stages together, and the `uvr` command line."""
