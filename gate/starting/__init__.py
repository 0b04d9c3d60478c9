"""Starting with the gate: looks at a repository and writes its first checklist and workflow."""
