"""GVE: model, inputs, loss, batches and the training loop."""
