"""A tiny Qwen2.5-VL that learns to caption the sample world in minutes on a CPU, for a real server to serve."""
