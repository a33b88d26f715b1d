"""The command line: `mail-pipeline`, one module for each command.

Results go to standard output, progress and errors to standard error. A module here imports Dagster only
inside the functions that start runs, since that import costs more than most commands.
"""

from mail_pipeline.cli.app import main

__all__ = ["main"]
