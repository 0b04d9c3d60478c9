"""Write the proposals as YAML: the checklist and the workflow, and a summary for the terminal."""
