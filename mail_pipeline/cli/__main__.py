"""`python -m mail_pipeline.cli`, for children that must run in this very environment."""

from mail_pipeline.cli.app import main

main()
