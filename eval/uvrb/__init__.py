"""The Universal Video Retrieval Benchmark (arXiv 2510.27571, appendix A.2): sixteen datasets, nine abilities."""
