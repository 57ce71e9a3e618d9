"""The networks: tensors in, tensors out. Nothing here knows a name, a file or a loss."""
