"""Tests of gate.drills: traffic, ledgers and the judgement of a drill."""
