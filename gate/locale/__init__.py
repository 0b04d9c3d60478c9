"""The catalogues of the languages other than English, and how they are kept: `python -m gate.locale`."""
