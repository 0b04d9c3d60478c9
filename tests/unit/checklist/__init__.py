"""Tests of `gate/checklist`."""
