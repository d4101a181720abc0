"""The contract between making and using data: records, WebDataset shards, release manifests."""
