#!/opt/prodgate/bin/python -Iu
"""What the image runs: the action's inputs become the call that the command line makes, or words are given as they are.

Under the name `post` it is the action's post step.
"""

import os
import sys
from pathlib import Path

from gate.__main__ import program
from gate.commands._inputs import post_words, words

if __name__ == "__main__":
    post = Path(sys.argv[0]).name == "post"
    program(sys.argv[1:] or (post_words(os.environ) if post else words(os.environ)))
