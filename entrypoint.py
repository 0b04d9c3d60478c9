#!/opt/prodgate/bin/python -Iu
"""Run the gate in the image: with the given arguments, or else with those made from the action's inputs.

The runner invokes the post entrypoint by path and passes no arguments: under the name `post`, run the post step.
"""

import os
import sys
from pathlib import Path

from gate.__main__ import entry_point
from gate.action.inputs import main_step_arguments, post_step_arguments

if __name__ == "__main__":
    is_post_step = Path(sys.argv[0]).name == "post"
    entry_point(sys.argv[1:] or (post_step_arguments(os.environ) if is_post_step else main_step_arguments(os.environ)))
