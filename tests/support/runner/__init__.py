"""GitHub's runner, as far as a container action can tell: what it reads, what it runs, and what it makes of it.

After actions/runner 2.336.0: https://github.com/actions/runner/tree/main/src/Runner.Worker
"""
