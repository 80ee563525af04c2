"""`python -m flowmo_data.cli`."""

from flowmo_data.cli import main

main()
