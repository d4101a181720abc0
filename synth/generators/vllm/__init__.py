"""vLLM servers as replicas on the Ray cluster."""
