"""The parts of a drill: what a checklist says of it, its course, and what is watched meanwhile."""
