"""What users read; the reference pages among it are made from the code by `docs.reference`."""
