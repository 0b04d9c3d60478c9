"""The checklist language: YAML with places, interpolation, merging, models, and its JSON Schema."""
