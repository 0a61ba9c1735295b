"""``python -m ghostnet.cli``."""

from ghostnet.cli.main import main

if __name__ == "__main__":
    main()
