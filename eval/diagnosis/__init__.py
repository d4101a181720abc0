"""From a model's scores to changes of the recipe that its training data was made by."""
