"""Define the checklist language: YAML with source locations, variables, merging, models and the JSON Schema."""
