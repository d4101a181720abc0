"""What keeps flows running: Prefect's API server, the deployments, the runner and their supervision."""
