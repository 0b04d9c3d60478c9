#!/opt/prodgate/bin/python -Iu
"""What the image runs: the action's inputs become the call that the command line makes, or words are given as they are.

Under the name `post` it is the action's post step.
"""

import os
import sys
from pathlib import Path

from gate.__main__ import entry_point
from gate.action.inputs import main_step_arguments, post_step_arguments

if __name__ == "__main__":
    post = Path(sys.argv[0]).name == "post"
    entry_point(sys.argv[1:] or (post_step_arguments(os.environ) if post else main_step_arguments(os.environ)))
